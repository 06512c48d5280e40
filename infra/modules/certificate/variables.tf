variable "pem" {
  description = "One or more certificates, PEM; the module reads the first."
  type        = string
}

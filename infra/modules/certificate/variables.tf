variable "pem" {
  description = "One or more certificates, PEM; the first is read."
  type        = string
}

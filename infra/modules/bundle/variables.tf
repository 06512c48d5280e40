variable "documents" {
  description = "Files to put beside main.py: the configuration document, the certificates that it names, and profiles; content by file name."
  type        = map(string)

  validation {
    condition     = alltrue([for name in keys(var.documents) : can(regex("^[a-z0-9][a-z0-9.-]{0,79}$", name))])
    error_message = "documents: Invalid value: ${jsonencode(keys(var.documents))}: must be file names of at most 80 lower-case letters, digits, hyphens and dots, because the files are in one folder with main.py."
  }
}

variable "name" {
  description = "Name of the function; the zip file's name begins with it."
  type        = string
}

variable "source_folder" {
  description = "Folder with the function's source; main.py is at its top."
  type        = string

  validation {
    condition     = fileexists("${var.source_folder}/main.py") && fileexists("${var.source_folder}/requirements.txt")
    error_message = "source_folder: Invalid value: \"${var.source_folder}\": must contain main.py and requirements.txt. If the module's source is an absolute path, Terraform copies the module without function/: use a relative path (../kms-csr-signer/infra)."
  }
}

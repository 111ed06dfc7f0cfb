variable "path" {
  description = "The zip of the application, which `make app-bundle` makes."
  type        = string

  validation {
    condition     = endswith(var.path, "-arm64.zip") && fileexists(var.path)
    error_message = "The bundle of the application is not there: run `make app-bundle`, or set app_version to the version that was made."
  }
}

variable "bucket" {
  description = "The bucket of code."
  type        = object({ name = string, arn = string })
}

variable "kms_key_arn" {
  description = "The bucket's key."
  type        = string
}

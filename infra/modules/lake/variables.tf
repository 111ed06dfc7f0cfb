variable "name" {
  description = "What the names of all buckets begin with; account and region follow."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts the buckets."
  type        = string
}

variable "log_retention_days" {
  description = "How many days access logs are kept."
  type        = number
}

variable "force_destroy" {
  description = "Whether buckets may be destroyed with what is in them."
  type        = bool
}

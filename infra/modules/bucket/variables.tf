variable "name" {
  description = "The bucket's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "The name of a bucket has 3 to 63 small letters, digits and dashes: shorten the name of the platform."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts it; null for one that takes logs, which S3 and load balancers write under S3's own alone."
  type        = string
  default     = null

  validation {
    condition     = (var.kms_key_arn == null) == var.takes_logs
    error_message = "kms_key_arn is needed, but for a bucket that takes logs."
  }
}

variable "log_bucket" {
  description = "The bucket that its access is logged to; null for none."
  type        = object({ name = string })
  default     = null
}

variable "expire_days" {
  description = "After how many days objects are deleted, by their prefix; the empty prefix means all."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for days in values(var.expire_days) : days >= 1 && floor(days) == days])
    error_message = "expire_days must be whole days, 1 at least."
  }
}

variable "undo_days" {
  description = "How many days what was overwritten or deleted can be brought back."
  type        = number

  validation {
    condition     = var.undo_days >= 1
    error_message = "undo_days must be 1 at least."
  }
}

variable "force_destroy" {
  description = "Whether the bucket may be destroyed with what is in it."
  type        = bool
}

variable "takes_logs" {
  description = "Whether other buckets log to it."
  type        = bool
  default     = false
}

variable "queues" {
  description = "The queues of SQS that hear of new objects, by their prefix."
  type        = map(string)
  default     = {}
}

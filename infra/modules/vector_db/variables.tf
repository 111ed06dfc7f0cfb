variable "name" {
  description = "What its name begins with."
  type        = string
}

variable "instance_class" {
  description = "Its machine."
  type        = string
  default     = "db.t4g.small"
}

variable "storage_gb" {
  description = "Its disk in GB, which grows by itself to five times that."
  type        = number
  default     = 20
}

variable "subnets" {
  description = "Where it is: subnets of the kind data, in two zones at least."
  type = list(object({
    id   = string
    zone = string
    kind = string
  }))
}

variable "security_group_id" {
  description = "The security group that says who may connect."
  type        = string
}

variable "kms_key_arn" {
  description = "The key of its disk, its backups, its logs and its administrator's secret."
  type        = string
}

variable "protected" {
  description = "Whether it has a standby in another zone, cannot be deleted by mistake, and leaves a last snapshot."
  type        = bool
}

variable "backup_days" {
  description = "How many days it can be restored to any moment of."
  type        = number
}

variable "log_retention_days" {
  description = "How many days its logs are kept."
  type        = number
}

variable "name" {
  description = "What it is called."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "The name of a database has 2 to 63 small letters, digits and single dashes, and begins with a letter: change the name of the platform."
  }
}

variable "engine" {
  description = "What runs it: mysql or postgres, its version, and the family of its parameters."
  type = object({
    name    = string
    version = string
    family  = string
  })

  validation {
    condition     = contains(["mysql", "postgres"], var.engine.name)
    error_message = "engine.name must be mysql or postgres."
  }
}

variable "database" {
  description = "The first database in it."
  type        = string
}

variable "port" {
  description = "Its port."
  type        = number
}

variable "instance_class" {
  description = "Its machine, such as db.t4g.small."
  type        = string

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_class))
    error_message = "instance_class must be one of RDS, such as db.t4g.small."
  }
}

variable "storage_gb" {
  description = "Its disk in GB, which grows by itself to five times that."
  type        = number
  default     = 20

  validation {
    condition     = var.storage_gb >= 20 && var.storage_gb <= 13107
    error_message = "storage_gb must be from 20, the least that gp3 has, to 13107."
  }
}

variable "subnets" {
  description = "Where it is: subnets of the kind data, in two zones at least."
  type = list(object({
    id   = string
    zone = string
    kind = string
  }))

  validation {
    condition     = alltrue([for subnet in var.subnets : subnet.kind == "data"])
    error_message = "A database must not be public: give it subnets of the kind data, which have no way to the internet."
  }

  validation {
    condition     = length(distinct(var.subnets[*].zone)) >= 2
    error_message = "RDS asks for subnets in two zones at least: raise zone_count to 2."
  }
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

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days must be from 7, so that what was lost over a holiday can be brought back, to 35, the most that RDS keeps."
  }
}

variable "log_retention_days" {
  description = "How many days its logs are kept."
  type        = number
}

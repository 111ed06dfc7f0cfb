variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "database_prefix" {
  description = "What the names of the Glue databases begin with: RETAIL_DATABASE_PREFIX."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]*$", var.database_prefix))
    error_message = "database_prefix must be small letters, digits and _, such as retail_."
  }
}

variable "buckets" {
  description = "The buckets of the lake, of what Dagster and the job tell each other, of the job's code, and of Athena's answers."
  type = object({
    lake      = object({ name = string, arn = string })
    pipes     = object({ name = string, arn = string })
    artifacts = object({ name = string, arn = string })
    athena    = object({ name = string, arn = string })
  })
}

variable "kms_key_arn" {
  description = "The key of the buckets, and of the job's logs."
  type        = string
}

variable "subnet" {
  description = "Where the job runs, from where it reaches the source: a subnet, its zone and a security group."
  type = object({
    id                = string
    availability_zone = string
    security_group_id = string
  })
}

variable "source_secret_arn" {
  description = "The secret of Secrets Manager with the source's login: RETAIL_SOURCE_SECRET."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:", var.source_secret_arn))
    error_message = "source_secret_arn must be the ARN of a secret of Secrets Manager: create it as the README says, and give its ARN."
  }
}

variable "bundle" {
  description = "The folder of what the job runs, which `make glue-bundle` makes."
  type        = string

  validation {
    condition     = length(fileset(var.bundle, "retail_platform_glue-*.whl")) == 1 && length(fileset(var.bundle, "wheels/scipy-*.whl")) == 1 && fileexists("${var.bundle}/retail_glue_job.py")
    error_message = "The bundle of the Glue job is not there: run `make glue-bundle`, or name the folder that it was made in."
  }
}

variable "queries" {
  description = "The folder of the questions that Athena keeps by name, which `make athena-queries` makes."
  type        = string

  validation {
    condition     = length(fileset(var.queries, "*.sql")) > 0
    error_message = "There are no questions for Athena: run `make athena-queries`, or name the folder that they were made in."
  }
}

variable "workers" {
  description = "How many workers the job may have; it takes as many as it needs."
  type        = number
  default     = 5

  validation {
    condition     = var.workers >= 2 && var.workers <= 100
    error_message = "workers must be from 2, a driver and one that works, to 100."
  }
}

variable "scan_limit_gb" {
  description = "How many GB a query of Athena may scan before it is stopped."
  type        = number
  default     = 100

  validation {
    condition     = var.scan_limit_gb >= 1
    error_message = "scan_limit_gb must be 1 at least."
  }
}

variable "log_retention_days" {
  description = "How many days the job's log is kept."
  type        = number
}

variable "force_destroy" {
  description = "Whether Athena's workgroup may be destroyed with its history."
  type        = bool
}

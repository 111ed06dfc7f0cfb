variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "retail"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 16 small letters, digits and dashes, beginning with a letter: the names of buckets, which add account and region to it, may have no more than 63 characters."
  }
}

variable "environment" {
  description = "Which of the environments this is: dev, prod, or local for a stand-in of AWS."
  type        = string

  validation {
    condition     = contains(["dev", "prod", "local"], var.environment)
    error_message = "environment must be dev, prod or local: use one of environments/*.tfvars."
  }
}

variable "region" {
  description = "The region of AWS."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "region must be one such as eu-central-1."
  }
}

variable "vpc_cidr" {
  description = "The addresses of the network."
  type        = string
  default     = "10.20.0.0/16"
}

variable "source_cidrs" {
  description = "Addresses of an existing source database, to which the Glue job and Dagster may open connections; none of them may be the network's own."
  type        = list(string)
  default     = []
}

variable "source_port" {
  description = "The port of the source database: 3306 for MySQL and MariaDB, 5432 for PostgreSQL."
  type        = number
  default     = 3306
}

variable "zone_count" {
  description = "Over how many availability zones the network spreads."
  type        = number
  default     = 2

  validation {
    condition     = var.environment != "prod" || var.zone_count >= 2
    error_message = "zone_count must be at least 2 in prod: one zone that fails would take all of the platform with it."
  }
}

variable "egress" {
  description = "How private subnets reach AWS: none (S3 alone), nat, or endpoints."
  type        = string
  default     = "endpoints"
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 90
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in US dollars, before somebody is told."
  type        = number
}

variable "alarm_emails" {
  description = "Who is told of alarms and of the budget."
  type        = set(string)
  default     = []
}

variable "database_prefix" {
  description = "What the names of the Glue databases begin with: RETAIL_DATABASE_PREFIX."
  type        = string
  default     = "retail_"
}

variable "source_secret_arn" {
  description = "The secret of Secrets Manager with the login of the source database, as RDS writes it: RETAIL_SOURCE_SECRET."
  type        = string
}

variable "glue_bundle" {
  description = "The folder of what the Glue job runs, which `make glue-bundle` makes."
  type        = string
  default     = "../dist/glue"
}

variable "athena_queries" {
  description = "The folder of the questions that Athena keeps by name, which `make athena-queries` makes."
  type        = string
  default     = "../dist/athena"
}

variable "glue_workers" {
  description = "How many workers the Glue job may have; it takes as many as it needs."
  type        = number
  default     = 5
}

variable "scan_limit_gb" {
  description = "How many GB a query of Athena may scan before it is stopped."
  type        = number
  default     = 100
}

variable "vectors" {
  description = "The PostgreSQL with pgvector that recommendations are served from: its URL without a password, and either the ARN of a secret with the login or that of the database user that IAM lets in; null for no stream of events."
  type = object({
    url        = string
    secret_arn = optional(string)
    user_arn   = optional(string)
  })
  default = null
}

variable "stream" {
  description = "The Kinesis stream of browse events: its mode (PROVISIONED or ON_DEMAND), its shards where it is provisioned, and how many hours it keeps events."
  type = object({
    mode            = string
    shards          = optional(number, 1)
    retention_hours = optional(number, 168)
  })
  default = { mode = "PROVISIONED" }
}

variable "lambda_bundle" {
  description = "The zip of the Lambda, which `make lambda-bundle` makes."
  type        = string
  default     = "../dist/lambda/lambda-inference-arm64.zip"
}

variable "lambda_architecture" {
  description = "The processor that the bundle is for: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "lambda_concurrency" {
  description = "How many of the Lambda may run at a time, each with a connection to the vector store."
  type        = number
  default     = 20
}

variable "buffer_seconds" {
  description = "How long Firehose waits for more events before it lays them down."
  type        = number
  default     = 60
}

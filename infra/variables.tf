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
    condition     = var.zone_count >= 2
    error_message = "zone_count must be at least 2: one zone that fails would take all of the platform with it, and RDS asks for two."
  }
}

variable "egress" {
  description = "How private subnets reach AWS: none (S3 alone), nat, or endpoints."
  type        = string
  default     = "endpoints"

  validation {
    condition     = var.egress != "none" || var.environment == "local"
    error_message = "egress must be nat or endpoints: with none, Glue and Dagster reach no service of AWS but S3."
  }
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = var.environment != "prod" || var.log_retention_days >= 365
    error_message = "log_retention_days must be 365 at least in prod: who looks into what happened asks for a year."
  }
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
  description = "The secret of Secrets Manager with the login of an existing source database, as RDS writes it: RETAIL_SOURCE_SECRET; null for a MySQL that is made here."
  type        = string
  default     = null
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

variable "database_class" {
  description = "The machine of each database."
  type        = string
  default     = "db.t4g.small"
}

variable "backup_days" {
  description = "How many days each database can be restored to any moment of."
  type        = number
  default     = 7
}

variable "app_version" {
  description = "The version of the application that Dagster's machine and the web tier run; another makes their machines anew."
  type        = string
  default     = "0.1.0"

  validation {
    condition     = can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+", var.app_version))
    error_message = "app_version must be a version such as 0.1.0."
  }
}

variable "app_bundles" {
  description = "The folder of the application's bundles, which `make app-bundle` makes."
  type        = string
  default     = "../dist/app"
}

variable "web" {
  description = "The web tier: the certificate of its name in ACM, how many machines there are, the OpenID provider by which people sign in for more than the storefront, and the secret with the URL by which the storefront writes orders; null for none."
  type = object({
    certificate_arn = string
    size            = optional(object({ min = number, max = number }), { min = 2, max = 6 })
    sign_in = optional(object({
      issuer                 = string
      authorization_endpoint = string
      token_endpoint         = string
      user_info_endpoint     = string
      client_id              = string
      client_secret_arn      = string
    }))
    orders_secret_arn = optional(string)
  })
  default = null
}

variable "stand_in_vectors_url" {
  description = "Only for a stand-in of AWS, which has no databases: the vector store that the Lambda asks, with its password."
  type        = string
  default     = null

  validation {
    condition     = (var.stand_in_vectors_url != null) == (var.environment == "local")
    error_message = "stand_in_vectors_url is for the environment local, and needed there: elsewhere there is a vector store, and no password in the state."
  }
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

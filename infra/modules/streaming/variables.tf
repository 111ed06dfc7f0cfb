variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "stream" {
  description = "The Kinesis stream: its mode (PROVISIONED or ON_DEMAND), its shards where it is provisioned, and how long it keeps events."
  type = object({
    mode            = string
    shards          = optional(number, 1)
    retention_hours = optional(number, 168)
  })

  validation {
    condition     = contains(["PROVISIONED", "ON_DEMAND"], var.stream.mode)
    error_message = "stream.mode must be PROVISIONED or ON_DEMAND."
  }

  validation {
    condition     = var.stream.shards >= 1 && floor(var.stream.shards) == var.stream.shards
    error_message = "stream.shards must be a whole number, 1 at least: one takes 1,000 records or 1 MB a second."
  }

  validation {
    condition     = var.stream.retention_hours >= 72 && var.stream.retention_hours <= 8760
    error_message = "stream.retention_hours must be from 72, so that what fails on a Friday can be mended on Monday, to 8760."
  }
}

variable "buckets" {
  description = "The buckets of the lake, where events are delivered, and of code."
  type = object({
    lake      = object({ name = string, arn = string })
    artifacts = object({ name = string, arn = string })
  })
}

variable "kms_key_arn" {
  description = "The key of the stream, the buckets and the logs."
  type        = string
}

variable "network" {
  description = "Where the Lambda runs, from where it reaches the vector store: subnets and a security group."
  type = object({
    subnet_ids        = list(string)
    security_group_id = string
  })

  validation {
    condition     = length(var.network.subnet_ids) >= 1
    error_message = "The Lambda needs a subnet at least."
  }
}

variable "bundle" {
  description = "The zip of the Lambda, which `make lambda-bundle` makes."
  type        = string

  validation {
    condition     = endswith(var.bundle, ".zip") && fileexists(var.bundle)
    error_message = "The bundle of the Lambda is not there: run `make lambda-bundle`, or name the zip that it made."
  }
}

variable "architecture" {
  description = "The processor that the bundle is for: arm64 or x86_64."
  type        = string

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }

  validation {
    condition     = strcontains(basename(var.bundle), var.architecture)
    error_message = "architecture is not that of the bundle, whose name ends with its own."
  }
}

variable "vectors" {
  description = "The vector store: its URL without a password, and the ARN of the database user, dbuser:..., that IAM lets in."
  type = object({
    url      = string
    user_arn = string
  })

  validation {
    condition     = can(regex("^postgres(ql)?://[^:@/]*@?[^@/]+/.+$", var.vectors.url)) || var.stand_in
    error_message = "vectors.url must be one such as postgresql://reader@db.example.com:5432/recommender, without a password: it would stand in the state."
  }
}

variable "stand_in" {
  description = "Whether AWS is stood in for: the URL of the vector store has its password then, because no stand-in has databases that take a token of IAM."
  type        = bool
  default     = false
}

variable "memory_mb" {
  description = "Memory of the Lambda in MB, by which it also gets its processor."
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 10240
    error_message = "memory_mb must be from 512, which a small catalogue takes, to 10240."
  }
}

variable "concurrency" {
  description = "How many of the Lambda may run at a time, each with a connection to the vector store."
  type        = number
  default     = 20

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 500
    error_message = "concurrency must be from 1 to 500: each takes a connection of the database."
  }
}

variable "buffer_seconds" {
  description = "How long Firehose waits for more before it lays an object down."
  type        = number
  default     = 60

  validation {
    condition     = var.buffer_seconds >= 0 && var.buffer_seconds <= 900
    error_message = "buffer_seconds must be from 0 to 900."
  }
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
}

variable "metrics_namespace" {
  description = "Where in CloudWatch the Lambda's own metrics are."
  type        = string
}

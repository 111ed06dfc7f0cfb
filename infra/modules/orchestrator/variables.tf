variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "instance_type" {
  description = "The machine, with an arm64 processor and 4 GB or more: webserver and daemon load the definitions twice each."
  type        = string
  default     = "t4g.medium"
}

variable "image_id" {
  description = "What it starts from."
  type        = string
}

variable "network" {
  description = "Where it may be: subnets, of which it is in one, and a security group that lets nobody in."
  type = object({
    subnet_ids        = list(string)
    security_group_id = string
  })
}

variable "bundle" {
  description = "The application's bundle in S3; another version makes the machine anew."
  type = object({
    bucket     = string
    bucket_arn = string
    key        = string
  })
}

variable "settings" {
  description = "The platform's settings, by the names of their variables."
  type        = map(string)

  validation {
    condition     = lookup(var.settings, "RETAIL_ENV", "") == "aws" && can(var.settings["RETAIL_RECORDS_URL"])
    error_message = "settings must say RETAIL_ENV=aws, and by RETAIL_RECORDS_URL where Dagster keeps its records: a machine that is made anew would forget them."
  }
}

variable "buckets" {
  description = "The buckets of the lake, and of what Dagster and the job tell each other."
  type = object({
    lake  = object({ name = string, arn = string })
    pipes = object({ name = string, arn = string })
  })
}

variable "glue" {
  description = "The Glue job, and the databases of the layers."
  type = object({
    job       = string
    databases = list(string)
  })
}

variable "reading_policy_json" {
  description = "What whoever asks the lake may, as a policy of IAM."
  type        = string
}

variable "source_secret_arn" {
  description = "The secret with the source's login."
  type        = string
}

variable "vectors" {
  description = "The vector store: the secret of its administrator, who prepares it, and the database user that IAM lets in to publish."
  type = object({
    secret_arn = string
    user_arn   = string
  })
}

variable "stream_arn" {
  description = "The stream of browse events, to which failed ones are sent again."
  type        = string
}

variable "arrival_queue_arns" {
  description = "The queues that tell of what arrives in the lake's bucket."
  type        = list(string)
}

variable "metrics_namespace" {
  description = "Where in CloudWatch the platform's own metrics are."
  type        = string
}

variable "kms_key_arn" {
  description = "The key of the buckets, the stream, the secrets and the log."
  type        = string
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
}

variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "alarm_topic_arn" {
  description = "The topic that every alarm tells."
  type        = string
}

variable "metrics_namespace" {
  description = "Where in CloudWatch the platform's and the Lambda's own metrics are."
  type        = string
}

variable "freshness_hours" {
  description = "How old the star schema may get, in hours; it is built every night."
  type        = number
  default     = 26

  validation {
    condition     = var.freshness_hours >= 1
    error_message = "freshness_hours must be 1 at least."
  }
}

variable "glue_job" {
  description = "The Glue job."
  type        = string
}

variable "stream" {
  description = "The Kinesis stream."
  type        = string
}

variable "delivery_stream" {
  description = "The Firehose stream."
  type        = string
}

variable "functions" {
  description = "The Lambda's functions by entry point: inference and http."
  type = object({
    inference = string
    http      = string
  })
}

variable "failure_queues" {
  description = "Queues that should be empty, by what has failed when they are not."
  type        = map(string)
}

variable "databases" {
  description = "The identifiers of the databases, by what they are for."
  type        = map(string)
}

variable "site" {
  description = "The load balancer and its target group, as CloudWatch calls them; null for no web tier."
  type = object({
    load_balancer = string
    target_group  = string
  })
  default = null
}

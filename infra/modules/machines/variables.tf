variable "name" {
  description = "What the machines, their role and their log are called."
  type        = string
}

variable "instance_type" {
  description = "The kind of machine, with an arm64 processor, such as t4g.medium."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+[0-9]+g[a-z]*\\.[a-z0-9]+$", var.instance_type))
    error_message = "instance_type must have an arm64 processor, for which the bundle is made: such as t4g.medium or m7g.large."
  }
}

variable "image_id" {
  description = "What they start from: an id, or resolve:ssm: and the parameter that names the newest Amazon Linux 2023 when a machine is started."
  type        = string
  nullable    = false
  default     = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

variable "size" {
  description = "How many machines there are, at least and at most."
  type = object({
    min = number
    max = number
  })

  validation {
    condition     = var.size.min >= 1 && var.size.max >= var.size.min
    error_message = "size.min must be 1 at least, and size.max not less."
  }
}

variable "subnet_ids" {
  description = "Where they are, in as many zones as there are subnets."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "Machines need a subnet at least."
  }
}

variable "security_group_id" {
  description = "The security group that says who may connect, and to whom they may."
  type        = string
}

variable "target_group_arns" {
  description = "The target groups of a load balancer whose health checks they have to pass; none for machines that nobody asks."
  type        = list(string)
  default     = []
}

variable "bundle" {
  description = "The zip of the application that they install, which `make app-bundle` makes."
  type = object({
    bucket     = string
    bucket_arn = string
    key        = string
  })
}

variable "environment" {
  description = "The settings of the application, by the names of their variables."
  type        = map(string)

  validation {
    condition     = alltrue([for value in values(var.environment) : !can(regex("[\"$`\\\\\n]", value))])
    error_message = "A setting may have no quotation mark, dollar sign, backtick, backslash or line break, which systemd would read."
  }
}

variable "secrets" {
  description = "More settings, whose values are secrets of Secrets Manager: by the names of their variables, the secrets' ARNs. A machine reads them when it starts."
  type        = map(string)
  default     = {}
}

variable "prepare" {
  description = "The command that has to succeed once before the services start; null for none."
  type        = string
  default     = null
}

variable "services" {
  description = "What runs, by name: a command of the application each, started again when it ends."
  type        = map(string)
}

variable "policy_json" {
  description = "What they may do besides starting, as a policy of IAM."
  type        = string
}

variable "kms_key_arn" {
  description = "The key of the bundle and of the log."
  type        = string
}

variable "log_retention_days" {
  description = "How many days the log is kept."
  type        = number
}

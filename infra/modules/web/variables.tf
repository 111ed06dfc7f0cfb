variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "certificate_arn" {
  description = "The certificate of the site's name, in AWS Certificate Manager."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.certificate_arn))
    error_message = "The web tier needs a certificate: ask ACM for one for your site's name, in this region, and set web.certificate_arn to its ARN."
  }
}

variable "instance_type" {
  description = "The kind of machine, with an arm64 processor."
  type        = string
  default     = "t4g.small"
}

variable "image_id" {
  description = "What machines start from."
  type        = string
}

variable "size" {
  description = "How many machines there are, at least and at most."
  type = object({
    min = number
    max = number
  })
  default = { min = 2, max = 6 }

  validation {
    condition     = var.size.min >= 2
    error_message = "The web tier needs two machines at least, so that one zone may fail."
  }
}

variable "requests_per_minute" {
  description = "How many requests a minute a machine shall have before there is another."
  type        = number
  default     = 1500

  validation {
    condition     = var.requests_per_minute >= 1
    error_message = "requests_per_minute must be 1 at least."
  }
}

variable "network" {
  description = "The network: its id, public subnets for the load balancer, application subnets for the machines, in two zones at least, and a security group for each."
  type = object({
    vpc_id                = string
    public_subnet_ids     = list(string)
    app_subnet_ids        = list(string)
    alb_security_group_id = string
    web_security_group_id = string
  })

  validation {
    condition     = length(var.network.public_subnet_ids) >= 2 && length(var.network.app_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in two zones at least: raise zone_count to 2."
  }
}

variable "bundle" {
  description = "The application's bundle in S3; another version makes all machines anew, a few at a time."
  type = object({
    bucket     = string
    bucket_arn = string
    key        = string
  })
}

variable "settings" {
  description = "The application's settings, by the names of their variables."
  type        = map(string)
}

variable "stream_arn" {
  description = "The stream that browse events are sent to."
  type        = string
}

variable "recommender_alias_arn" {
  description = "The live version of the Lambda that answers the site."
  type        = string
}

variable "reading_policy_json" {
  description = "What whoever asks the lake may, as a policy of IAM."
  type        = string
}

variable "sign_in" {
  description = "Who may see more than the storefront: the OpenID provider that the load balancer asks, and the secret of Secrets Manager whose text is the client's secret; null for nobody."
  type = object({
    issuer                 = string
    authorization_endpoint = string
    token_endpoint         = string
    user_info_endpoint     = string
    client_id              = string
    client_secret_arn      = string
  })
  default = null

  validation {
    condition = var.sign_in == null ? true : alltrue([
      for url in [var.sign_in.issuer, var.sign_in.authorization_endpoint, var.sign_in.token_endpoint, var.sign_in.user_info_endpoint] :
      can(regex("^https://[^/]+", url))
    ])
    error_message = "sign_in: the issuer and its endpoints are https:// URLs, as /.well-known/openid-configuration says them."
  }

  validation {
    condition     = var.sign_in == null ? true : can(regex("^arn:[a-z-]+:secretsmanager:", var.sign_in.client_secret_arn))
    error_message = "sign_in.client_secret_arn must be the ARN of a secret of Secrets Manager: put the client's secret there, and not here."
  }
}

variable "orders_secret_arn" {
  description = "The secret of Secrets Manager whose text is the URL of the source database with a login that may write orders; null for a storefront that takes none."
  type        = string
  default     = null

  validation {
    condition     = var.orders_secret_arn == null ? true : can(regex("^arn:[a-z-]+:secretsmanager:", var.orders_secret_arn))
    error_message = "orders_secret_arn must be the ARN of a secret of Secrets Manager: put the URL there, and not here."
  }
}

variable "log_bucket" {
  description = "The bucket of the load balancer's access log."
  type        = object({ name = string })
}

variable "stand_in" {
  description = "Whether AWS is stood in for: machines are not put behind the load balancer then, nor is the firewall logged."
  type        = bool
  default     = false
}

variable "protected" {
  description = "Whether the load balancer cannot be deleted by mistake."
  type        = bool
}

variable "kms_key_arn" {
  description = "The key of the bundle, the stream and the logs."
  type        = string
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
}

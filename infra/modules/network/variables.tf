variable "name" {
  description = "What the names of all resources begin with."
  type        = string
}

variable "cidr" {
  description = "The addresses of the network, of which each subnet gets a sixteenth."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && can(regex("/(1[6-9]|20)$", var.cidr))
    error_message = "cidr must be a block from /16 to /20, such as 10.20.0.0/16: a smaller one leaves subnets too few addresses, and AWS takes no larger one."
  }

  validation {
    condition     = can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", var.cidr))
    error_message = "cidr must be of private addresses: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }

  validation {
    condition     = try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr must begin with the first address of its block, such as 10.20.0.0/16 and not 10.20.0.1/16."
  }
}

variable "source_cidrs" {
  description = "Addresses of an existing source database, to which the Glue job and Dagster may open connections; none of them may be the network's own."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.source_cidrs : can(cidrhost(cidr, 0))])
    error_message = "source_cidrs must be blocks such as 10.30.0.0/16."
  }

  validation {
    condition     = alltrue([for cidr in var.source_cidrs : can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)", cidr))])
    error_message = "source_cidrs must be private: a database with a public address would be asked over the internet; peer its network with this one, or come by VPN."
  }

  validation {
    # Two blocks overlap where they are the same as far as the shorter prefix says.
    condition = alltrue([
      for cidr in var.source_cidrs : try(
        cidrhost("${split("/", cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0)
        != cidrhost("${split("/", var.cidr)[0]}/${min(split("/", cidr)[1], split("/", var.cidr)[1])}", 0),
        true
      )
    ])
    error_message = "cidr overlaps one of source_cidrs: choose another, or what is there cannot be reached."
  }
}

variable "source_port" {
  description = "The port of the source database."
  type        = number

  validation {
    condition     = var.source_port >= 1 && var.source_port <= 65535
    error_message = "source_port must be a port, such as 3306 for MySQL and 5432 for PostgreSQL."
  }
}

variable "zone_count" {
  description = "Over how many availability zones the network spreads."
  type        = number

  validation {
    condition     = var.zone_count >= 1 && var.zone_count <= 4 && floor(var.zone_count) == var.zone_count
    error_message = "zone_count must be a whole number from 1 to 4."
  }
}

variable "web_takes_orders" {
  description = "Whether the web tier writes orders into the source database."
  type        = bool
  default     = false
}

variable "egress" {
  description = "How private subnets reach AWS: none (S3 alone), nat, or endpoints."
  type        = string

  validation {
    condition     = contains(["none", "nat", "endpoints"], var.egress)
    error_message = "egress must be none, nat or endpoints."
  }
}

variable "nat_in_every_zone" {
  description = "Whether each zone has a NAT gateway of its own, and none goes down with another."
  type        = bool
}

variable "has_prefix_lists" {
  description = "Whether rules may name prefix lists, which a stand-in of AWS forgets."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "The key that encrypts the flow log."
  type        = string
}

variable "log_retention_days" {
  description = "How many days the flow log is kept."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch takes: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or 1096."
  }
}

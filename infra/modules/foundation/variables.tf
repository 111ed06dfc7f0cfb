variable "name" {
  description = "What the names of all resources begin with."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,21}$", var.name))
    error_message = "name must be 3 to 22 small letters, digits and dashes, beginning with a letter."
  }
}

variable "monthly_budget_usd" {
  description = "What a month may cost, in US dollars, before somebody is told."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be more than 0: what a month may cost before somebody is told."
  }
}

variable "alarm_emails" {
  description = "Who is told of alarms and of the budget."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", email))])
    error_message = "alarm_emails must be addresses such as data@example.com."
  }
}

variable "protected" {
  description = "Whether the key waits for 30 days, and not for 7, before it is deleted."
  type        = bool
}

environment        = "prod"
zone_count         = 3
egress             = "endpoints"
log_retention_days = 365
monthly_budget_usd = 1000

environment        = "local"
region             = "us-east-1"
zone_count         = 2
egress             = "none"
log_retention_days = 1
monthly_budget_usd = 1

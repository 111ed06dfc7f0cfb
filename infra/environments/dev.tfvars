environment        = "dev"
zone_count         = 2
egress             = "nat"
log_retention_days = 30
monthly_budget_usd = 200

environment        = "prod"
zone_count         = 3
egress             = "endpoints"
log_retention_days = 365
backup_days        = 14
database_class     = "db.t4g.medium"
monthly_budget_usd = 1000

output "database" {
  description = "The database, as its module tells it."
  value       = module.database.database
}

output "url" {
  description = "Where it is, without a login: RETAIL_SOURCE_URL."
  value       = "mysql://${module.database.database.host}:${local.port}/${local.database}?ssl-mode=required"
}

output "secret_arn" {
  description = "The secret with its login, which RDS rotates: RETAIL_SOURCE_SECRET."
  value       = module.database.database.secret_arn
}

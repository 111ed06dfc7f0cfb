output "database" {
  description = "The database, as its module tells it."
  value       = module.database.database
}

output "reader" {
  description = "Who asks for recommendations: the URL without a password, and the user that IAM lets in."
  value = {
    url      = "postgresql://${local.users.reader}@${local.host}/${local.database}"
    user_arn = local.user_arns.reader
  }
}

output "publisher" {
  description = "Who publishes vectors, RETAIL_VECTORS_URL, and keeps Dagster's records, RETAIL_RECORDS_URL: both URLs without a password, and the user that IAM lets in."
  value = {
    url         = "postgresql://${local.users.publisher}@${local.host}/${local.database}"
    records_url = "postgresql://${local.users.publisher}@${local.host}/${local.records}"
    user_arn    = local.user_arns.publisher
  }
}

output "secret_arn" {
  description = "The secret with its administrator's login, which RDS rotates, for `retail prepare`."
  value       = module.database.database.secret_arn
}

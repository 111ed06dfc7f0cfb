output "buckets" {
  description = "The buckets by what they are for: lake, pipes, athena, artifacts and logs, each with its name and ARN."
  value       = merge({ for key, made in module.bucket : key => made.bucket }, { logs = module.logs.bucket })
}

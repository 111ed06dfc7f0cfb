output "buckets" {
  description = "The buckets by what they are for: lake, pipes, athena, artifacts and logs, each with its name and ARN."
  value       = merge({ for key, made in module.bucket : key => made.bucket }, { logs = module.logs.bucket })
}

output "arrivals" {
  description = "The queues that ring when something arrives in the lake's bucket, by its prefix: delivered and landing, each with its URL and ARN."
  value       = { for key, queue in aws_sqs_queue.arrivals : key => { url = queue.url, arn = queue.arn } }
}

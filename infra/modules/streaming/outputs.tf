output "stream" {
  description = "The Kinesis stream of browse events, RETAIL_EVENT_STREAM: its name and ARN."
  value = {
    name = aws_kinesis_stream.events.name
    arn  = aws_kinesis_stream.events.arn
  }
}

output "alias_arns" {
  description = "What answers, by its entry point: inference (for Firehose) and http."
  value       = { for key, alias in aws_lambda_alias.live : key => alias.arn }
}

output "function_url" {
  description = "Where the shop asks for recommendations; requests are signed for IAM."
  value       = aws_lambda_function_url.http.function_url
}

output "producer_policy_arn" {
  description = "The policy of whoever sends events."
  value       = aws_iam_policy.producer.arn
}

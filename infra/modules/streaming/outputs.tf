output "stream" {
  description = "The Kinesis stream of browse events, RETAIL_EVENT_STREAM: its name and ARN."
  value = {
    name = aws_kinesis_stream.events.name
    arn  = aws_kinesis_stream.events.arn
  }
}

output "names" {
  description = "What CloudWatch calls it all: the stream, the Firehose stream, the functions by entry point, and the queue of what failed."
  value = {
    stream          = aws_kinesis_stream.events.name
    delivery_stream = aws_kinesis_firehose_delivery_stream.events.name
    functions       = { for key, made in aws_lambda_function.this : key => made.function_name }
    failure_queue   = aws_sqs_queue.failures.name
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

output "kms_key_arn" {
  description = "The key that encrypts what the platform stores."
  value       = aws_kms_key.data.arn
}

output "alarm_topic_arn" {
  description = "The SNS topic that every alarm tells."
  value       = aws_sns_topic.alarms.arn
}

output "group_name" {
  description = "The Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "role_name" {
  description = "The role of the machines."
  value       = aws_iam_role.this.name
}

output "log_group_name" {
  description = "Their log."
  value       = aws_cloudwatch_log_group.this.name
}

output "user_data" {
  description = "What a machine does when it starts."
  value       = local.user_data
}

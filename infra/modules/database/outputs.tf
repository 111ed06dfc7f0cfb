output "database" {
  description = "The database: its identifier, ARN and resource id, its host and port, and the secret with its administrator's login."
  value = {
    identifier  = aws_db_instance.this.identifier
    arn         = aws_db_instance.this.arn
    resource_id = aws_db_instance.this.resource_id
    host        = aws_db_instance.this.address
    port        = aws_db_instance.this.port
    secret_arn  = one(aws_db_instance.this.master_user_secret[*].secret_arn)
  }
}

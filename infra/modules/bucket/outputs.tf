output "bucket" {
  description = "The bucket's name and ARN."
  value = {
    name = aws_s3_bucket.this.id
    arn  = aws_s3_bucket.this.arn
  }
}

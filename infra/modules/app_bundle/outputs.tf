output "bundle" {
  description = "Where machines fetch it."
  value = {
    bucket     = var.bucket.name
    bucket_arn = var.bucket.arn
    key        = aws_s3_object.this.key
  }
}

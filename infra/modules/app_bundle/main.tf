# Its key has its content in it: what is not the same zip is another version of the machines.
resource "aws_s3_object" "this" {
  bucket      = var.bucket.name
  key         = "app/${filesha256(var.path)}/${basename(var.path)}"
  source      = var.path
  source_hash = filemd5(var.path)
  kms_key_id  = var.kms_key_arn
}

provider "aws" {
  region = var.region

  # A stand-in of AWS knows no account, and its buckets are paths: AWS_ENDPOINT_URL says where it is.
  s3_use_path_style           = local.is_local
  skip_credentials_validation = local.is_local
  skip_metadata_api_check     = local.is_local

  default_tags {
    tags = {
      project     = var.name
      environment = var.environment
      managed_by  = "terraform"
    }
  }
}

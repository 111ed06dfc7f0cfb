# Where the state is says `terraform init -backend-config=...`; see README.md. S3 locks it by itself.
terraform {
  backend "s3" {
    key          = "retail-platform/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

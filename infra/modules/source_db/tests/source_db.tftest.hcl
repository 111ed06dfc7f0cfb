mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod"
  security_group_id  = "sg-1"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  protected          = true
  backup_days        = 14
  log_retention_days = 90
  subnets = [
    { id = "subnet-1", zone = "eu-central-1a", kind = "data" },
    { id = "subnet-2", zone = "eu-central-1b", kind = "data" },
  ]
}

run "it_is_told_without_a_login" {
  command = apply

  assert {
    condition     = output.url == "mysql://db-1.example.com:3306/classicmodels?ssl-mode=required"
    error_message = "the URL has to name the database, insist on TLS, and have no login"
  }
  assert {
    condition     = output.secret_arn == "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1"
    error_message = "the login is in the secret that RDS keeps"
  }
}

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

run "who_asks_and_who_publishes_are_two_users_of_iam" {
  command = apply

  assert {
    condition     = output.reader.url == "postgresql://retail_reader@db-1.example.com:5432/recommender" && output.publisher.url == "postgresql://retail_publisher@db-1.example.com:5432/recommender"
    error_message = "both are told where it is, without a password"
  }
  assert {
    condition     = output.reader.user_arn == "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/retail_reader" && output.publisher.user_arn == "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/retail_publisher"
    error_message = "IAM lets in one user of one database"
  }
  assert {
    condition     = output.publisher.records_url == "postgresql://retail_publisher@db-1.example.com:5432/dagster"
    error_message = "Dagster's records are in a database of their own"
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  database = "recommender"
  records  = "dagster"
  port     = 5432

  # Who logs in by a token of IAM; `retail prepare` makes them in the database, with these names.
  users = { reader = "retail_reader", publisher = "retail_publisher" }

  host = "${module.database.database.host}:${local.port}"
  user_arns = {
    for role, user in local.users : role => join(":", [
      "arn", data.aws_partition.current.partition, "rds-db", data.aws_region.current.name,
      data.aws_caller_identity.current.account_id, "dbuser", "${module.database.database.resource_id}/${user}",
    ])
  }
}

module "database" {
  source = "../database"

  name               = "${var.name}-vectors"
  engine             = { name = "postgres", version = "17", family = "postgres17" }
  database           = local.database
  port               = local.port
  instance_class     = var.instance_class
  storage_gb         = var.storage_gb
  subnets            = var.subnets
  security_group_id  = var.security_group_id
  kms_key_arn        = var.kms_key_arn
  protected          = var.protected
  backup_days        = var.backup_days
  log_retention_days = var.log_retention_days
}

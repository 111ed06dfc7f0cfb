locals {
  database = "classicmodels"
  port     = 3306
}

module "database" {
  source = "../database"

  name               = "${var.name}-source"
  engine             = { name = "mysql", version = "8.4", family = "mysql8.4" }
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

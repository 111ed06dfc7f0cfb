locals {
  parameters = {
    mysql = {
      require_secure_transport = "1"
      slow_query_log           = "1"
      long_query_time          = "1"
    }
    postgres = {
      "rds.force_ssl"              = "1"
      "log_statement"              = "ddl"
      "log_min_duration_statement" = "1000"
    }
  }

  logs = {
    mysql    = ["error", "slowquery"]
    postgres = ["postgresql", "upgrade"]
  }

  # AWS refuses it there, and only there.
  has_insights = !(var.engine.name == "mysql" && can(regex("\\.t4g\\.(micro|small)$", var.instance_class)))
}

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Where ${var.name} is: subnets without a way out"
  subnet_ids  = var.subnets[*].id
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = var.engine.family
  description = "Connections within TLS alone; what is slow is logged"

  dynamic "parameter" {
    for_each = local.parameters[var.engine.name]

    content {
      name         = parameter.key
      value        = parameter.value
      apply_method = "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

# RDS would make them itself, unencrypted and for ever.
resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(local.logs[var.engine.name])

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_db_instance" "this" {
  identifier     = var.name
  engine         = var.engine.name
  engine_version = var.engine.version
  instance_class = var.instance_class
  db_name        = var.database
  port           = var.port

  storage_type          = "gp3"
  allocated_storage     = var.storage_gb
  max_allocated_storage = var.storage_gb * 5
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  # RDS makes the password, keeps it in Secrets Manager, and makes another every week; it is in no state of Terraform.
  username                            = "administrator"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [var.security_group_id]
  publicly_accessible    = false
  multi_az               = var.protected
  parameter_group_name   = aws_db_parameter_group.this.name

  backup_retention_period   = var.backup_days
  backup_window             = "01:00-01:30"
  maintenance_window        = "sun:02:00-sun:03:00"
  copy_tags_to_snapshot     = true
  deletion_protection       = var.protected
  skip_final_snapshot       = !var.protected
  final_snapshot_identifier = var.protected ? "${var.name}-final" : null

  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = false
  apply_immediately           = !var.protected

  enabled_cloudwatch_logs_exports       = local.logs[var.engine.name]
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.monitoring.arn
  performance_insights_enabled          = local.has_insights
  performance_insights_kms_key_id       = local.has_insights ? var.kms_key_arn : null
  performance_insights_retention_period = local.has_insights ? 7 : null

  depends_on = [aws_cloudwatch_log_group.this]
}

mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod-vectors"
  engine             = { name = "postgres", version = "17", family = "postgres17" }
  database           = "recommender"
  port               = 5432
  instance_class     = "db.t4g.small"
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

run "it_is_private_encrypted_and_backed_up" {
  command = plan

  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.vpc_security_group_ids == toset(["sg-1"])
    error_message = "nobody outside may reach it"
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn && aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn
    error_message = "disk and login have to be under the platform's key"
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && aws_db_instance.this.copy_tags_to_snapshot
    error_message = "what is lost has to be brought back"
  }
}

run "nobody_knows_its_password" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null && aws_db_instance.this.iam_database_authentication_enabled
    error_message = "RDS keeps the administrator's password and rotates it, and all others log in by IAM"
  }
  assert {
    condition     = anytrue([for parameter in aws_db_parameter_group.this.parameter : parameter.name == "rds.force_ssl" && parameter.value == "1"])
    error_message = "a connection without TLS has to be refused"
  }
}

run "what_is_protected_survives_a_zone_and_a_mistake" {
  command = plan

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "a zone that fails, or a destroy, would take it"
  }
}

run "what_is_not_costs_half_and_goes_with_its_environment" {
  command = plan

  variables {
    protected = false
  }

  assert {
    condition     = !aws_db_instance.this.multi_az && !aws_db_instance.this.deletion_protection && aws_db_instance.this.skip_final_snapshot
    error_message = "dev is not to be paid for twice, nor kept"
  }
}

run "mysql_takes_no_connection_without_tls_and_small_ones_have_no_insights" {
  command = plan

  variables {
    engine = { name = "mysql", version = "8.4", family = "mysql8.4" }
  }

  assert {
    condition     = anytrue([for parameter in aws_db_parameter_group.this.parameter : parameter.name == "require_secure_transport" && parameter.value == "1"])
    error_message = "a connection without TLS has to be refused"
  }
  assert {
    condition     = !aws_db_instance.this.performance_insights_enabled
    error_message = "AWS refuses insights for MySQL on a db.t4g.small"
  }
}

run "a_public_database_is_refused" {
  command         = plan
  expect_failures = [var.subnets]

  variables {
    subnets = [
      { id = "subnet-1", zone = "eu-central-1a", kind = "public" },
      { id = "subnet-2", zone = "eu-central-1b", kind = "public" },
    ]
  }
}

run "one_zone_is_refused" {
  command         = plan
  expect_failures = [var.subnets]

  variables {
    subnets = [{ id = "subnet-1", zone = "eu-central-1a", kind = "data" }]
  }
}

run "backups_of_a_day_are_refused" {
  command         = plan
  expect_failures = [var.backup_days]

  variables {
    backup_days = 1
  }
}

run "another_engine_is_refused" {
  command         = plan
  expect_failures = [var.engine]

  variables {
    engine = { name = "oracle", version = "19", family = "oracle-ee-19" }
  }
}

run "what_is_no_machine_is_refused" {
  command         = plan
  expect_failures = [var.instance_class]

  variables {
    instance_class = "t4g.small"
  }
}

run "a_disk_that_is_too_small_is_refused" {
  command         = plan
  expect_failures = [var.storage_gb]

  variables {
    storage_gb = 5
  }
}

run "a_name_that_rds_does_not_take_is_refused" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "retail--prod"
  }
}

locals {
  # The layers of sql/, a database each, and one for what a crawler finds in landing/.
  layers = toset(["raw", "star", "ml", "events"])

  # Where Athena's answers go in their bucket.
  results = "results/"

  wheel = one(fileset(var.bundle, "retail_platform_glue-*.whl"))
  scipy = one(fileset(var.bundle, "wheels/scipy-*.whl"))

  # The wheel's name has its version in it, so that an order never meets another's code by the same name.
  code = {
    script = { path = "retail_glue_job.py", key = "glue/retail_glue_job.py" }
    wheel  = { path = local.wheel, key = "glue/${local.wheel}" }
    scipy  = { path = local.scipy, key = "glue/${local.scipy}" }
  }
}

resource "aws_glue_catalog_database" "layer" {
  for_each = local.layers

  name         = "${var.database_prefix}${each.key}"
  description  = "The layer ${each.key} of ${var.name}"
  location_uri = "s3://${var.buckets.lake.name}/lake/${each.key}"
}

# The job

resource "aws_s3_object" "code" {
  for_each = local.code

  bucket      = var.buckets.artifacts.name
  key         = each.value.key
  source      = "${var.bundle}/${each.value.path}"
  source_hash = filemd5("${var.bundle}/${each.value.path}")
  kms_key_id  = var.kms_key_arn
}

resource "aws_glue_connection" "source" {
  name            = "${var.name}-source"
  description     = "The network from where the source is reached; its login is in Secrets Manager"
  connection_type = "NETWORK"

  physical_connection_requirements {
    availability_zone      = var.subnet.availability_zone
    subnet_id              = var.subnet.id
    security_group_id_list = [var.subnet.security_group_id]
  }
}

resource "aws_glue_security_configuration" "this" {
  name = var.name

  encryption_configuration {
    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }

    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = var.kms_key_arn
    }

    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = var.kms_key_arn
    }
  }
}

resource "aws_cloudwatch_log_group" "job" {
  name              = "/aws-glue/jobs/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_glue_job" "this" {
  name                    = var.name
  description             = "Runs what Dagster orders of it; started by nobody else"
  role_arn                = aws_iam_role.job.arn
  glue_version            = "5.1"
  worker_type             = "G.1X"
  number_of_workers       = var.workers
  timeout                 = 120
  max_retries             = 0 # a run that failed of Glue itself is started again by who ordered it
  job_run_queuing_enabled = true
  connections             = [aws_glue_connection.source.name]
  security_configuration  = aws_glue_security_configuration.this.name

  command {
    name            = "glueetl"
    python_version  = "3"
    script_location = "s3://${var.buckets.artifacts.name}/${aws_s3_object.code["script"].key}"
  }

  default_arguments = {
    "--additional-python-modules"        = join(",", [for part in ["wheel", "scipy"] : "s3://${var.buckets.artifacts.name}/${aws_s3_object.code[part].key}"])
    "--continuous-log-logGroup"          = aws_cloudwatch_log_group.job.name
    "--enable-auto-scaling"              = "true"
    "--enable-continuous-cloudwatch-log" = "true"
    "--enable-metrics"                   = "true"
    "--enable-observability-metrics"     = "true"
  }

  execution_property {
    max_concurrent_runs = 1 # the lake has one writer
  }
}

# What has landed, as Athena sees it before it is merged

resource "aws_glue_catalog_database" "landing" {
  name        = "${var.database_prefix}landing"
  description = "Exports of tables as they landed, not checked"
}

resource "aws_glue_crawler" "landing" {
  name                   = "${var.name}-landing"
  description            = "Shows Athena what lies in landing/, on demand"
  database_name          = aws_glue_catalog_database.landing.name
  role                   = aws_iam_role.crawler.arn
  security_configuration = aws_glue_security_configuration.this.name

  s3_target {
    path = "s3://${var.buckets.lake.name}/landing/"
  }

  recrawl_policy {
    recrawl_behavior = "CRAWL_EVERYTHING"
  }

  schema_change_policy {
    delete_behavior = "LOG"
    update_behavior = "UPDATE_IN_DATABASE"
  }
}

# SQL

resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Questions to the lake of ${var.name}"
  force_destroy = var.force_destroy

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_gb * 1024 * 1024 * 1024

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "s3://${var.buckets.athena.name}/${local.results}"

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.kms_key_arn
      }
    }
  }
}

resource "aws_athena_named_query" "question" {
  for_each = fileset(var.queries, "*.sql")

  name      = trimsuffix(each.key, ".sql")
  workgroup = aws_athena_workgroup.this.id
  database  = aws_glue_catalog_database.layer["star"].name
  query     = templatefile("${var.queries}/${each.key}", { database_prefix = var.database_prefix })
}

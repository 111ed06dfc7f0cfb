data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  glue      = "arn:${local.partition}:glue:${local.region}:${local.account}"
}

# What it does besides reading the lake, as all who ask it do.
data "aws_iam_policy_document" "work" {
  source_policy_documents = [var.reading_policy_json]

  statement {
    sid       = "Runs"
    actions   = ["glue:BatchStopJobRun", "glue:GetJobRun", "glue:GetJobRuns", "glue:StartJobRun"]
    resources = ["${local.glue}:job/${var.glue.job}"]
  }

  statement {
    sid     = "Catalog"
    actions = ["glue:CreateTable", "glue:UpdateTable"]
    resources = concat(
      ["${local.glue}:catalog"],
      [for database in var.glue.databases : "${local.glue}:database/${database}"],
      [for database in var.glue.databases : "${local.glue}:table/${database}/*"],
    )
  }

  # The lake, what lands in it, and what Firehose delivers.
  statement {
    sid       = "Lake"
    actions   = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"]
    resources = ["${var.buckets.lake.arn}/lake/*"]
  }

  statement {
    sid       = "Arrivals"
    actions   = ["s3:GetObject"]
    resources = ["${var.buckets.lake.arn}/delivered/*", "${var.buckets.lake.arn}/landing/*"]
  }

  statement {
    sid       = "Pipes"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.buckets.pipes.arn}/*"]
  }

  statement {
    sid       = "Buckets"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [var.buckets.pipes.arn]
  }

  statement {
    sid       = "Logins"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.source_secret_arn, var.vectors.secret_arn]
  }

  statement {
    sid       = "Vectors"
    actions   = ["rds-db:connect"]
    resources = [var.vectors.user_arn]
  }

  statement {
    sid       = "JobLog"
    actions   = ["logs:GetLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws-glue/jobs*"]
  }

  statement {
    sid       = "Replay"
    actions   = ["kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "Told"
    actions   = ["sqs:DeleteMessage", "sqs:ReceiveMessage"]
    resources = var.arrival_queue_arns
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = [var.metrics_namespace]
    }
  }
}

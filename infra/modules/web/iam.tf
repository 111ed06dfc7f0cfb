data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  glue      = "arn:${local.partition}:glue:${local.region}:${local.account}"
}

# The site reads the lake by Athena, sends events, and asks for recommendations; it writes to no table, and
# knows no other database than that of the orders.
data "aws_iam_policy_document" "work" {
  statement {
    sid       = "Send"
    actions   = ["kinesis:PutRecords"]
    resources = [var.stream_arn]
  }

  statement {
    sid       = "Ask"
    actions   = ["lambda:InvokeFunction"]
    resources = [var.recommender_alias_arn]
  }

  statement {
    sid     = "Catalog"
    actions = ["glue:GetDatabase", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
    resources = concat(
      ["${local.glue}:catalog"],
      [for database in var.lake.databases : "${local.glue}:database/${database}"],
      [for database in var.lake.databases : "${local.glue}:table/${database}/*"],
    )
  }

  statement {
    sid       = "Lake"
    actions   = ["s3:GetObject"]
    resources = ["${var.lake.bucket_arn}/lake/*"]
  }

  statement {
    sid       = "Answers"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.lake.answers_bucket_arn}/*"]
  }

  statement {
    sid       = "Buckets"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [var.lake.bucket_arn, var.lake.answers_bucket_arn]
  }

  statement {
    sid = "Questions"
    actions = [
      "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = ["arn:${local.partition}:athena:${local.region}:${local.account}:workgroup/${var.lake.workgroup}"]
  }

  dynamic "statement" {
    for_each = var.orders_secret_arn == null ? [] : [var.orders_secret_arn]

    content {
      sid       = "Orders"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value]
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  glue      = "arn:${local.partition}:glue:${local.region}:${local.account}"
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["glue.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "job" {
  name               = "${var.name}-glue-job"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "job" {
  name   = "job"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}

# The job turns files into files: it reads and writes no catalog, and commits nothing.
data "aws_iam_policy_document" "job" {
  statement {
    sid       = "Code"
    actions   = ["s3:GetObject"]
    resources = ["${var.buckets.artifacts.arn}/glue/*"]
  }

  statement {
    sid       = "Files"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${var.buckets.lake.arn}/lake/*"]
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [var.buckets.lake.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["lake", "lake/*"]
    }
  }

  statement {
    sid       = "Pipes"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${var.buckets.pipes.arn}/*"]
  }

  statement {
    sid       = "Login"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.source_secret_arn]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com"]
    }
  }

  statement {
    sid       = "LogKey"
    actions   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws-glue/*"]
  }

  statement {
    sid     = "Connection"
    actions = ["glue:GetConnection"]
    resources = [
      "${local.glue}:catalog",
      "${local.glue}:connection/${var.name}-source",
    ]
  }

  # What Glue does to put a worker into the network, as it asks for in its guide.
  statement {
    sid = "Look"
    actions = [
      "ec2:DescribeNetworkInterfaces", "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets", "ec2:DescribeVpcAttribute", "ec2:DescribeVpcEndpoints",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [local.region]
    }
  }

  statement {
    sid     = "Interfaces"
    actions = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"]
    resources = [
      "arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*",
      "arn:${local.partition}:ec2:${local.region}:${local.account}:security-group/${var.subnet.security_group_id}",
      "arn:${local.partition}:ec2:${local.region}:${local.account}:subnet/${var.subnet.id}",
    ]
  }

  statement {
    sid       = "Tags"
    actions   = ["ec2:CreateTags", "ec2:DeleteTags"]
    resources = ["arn:${local.partition}:ec2:${local.region}:${local.account}:network-interface/*"]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "aws:TagKeys"
      values   = ["aws-glue-service-resource"]
    }
  }

  statement {
    sid       = "Metrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "cloudwatch:namespace"
      values   = ["Glue"]
    }
  }
}

resource "aws_iam_role" "crawler" {
  name               = "${var.name}-landing-crawler"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

resource "aws_iam_role_policy" "crawler" {
  name   = "crawler"
  role   = aws_iam_role.crawler.id
  policy = data.aws_iam_policy_document.crawler.json
}

data "aws_iam_policy_document" "crawler" {
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = ["${var.buckets.lake.arn}/landing/*"]
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [var.buckets.lake.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["landing", "landing/*"]
    }
  }

  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt"]
    resources = [var.kms_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${local.region}.amazonaws.com"]
    }
  }

  statement {
    sid = "Catalog"
    actions = [
      "glue:BatchCreatePartition", "glue:BatchGetPartition", "glue:BatchUpdatePartition", "glue:CreatePartition",
      "glue:CreateTable", "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable",
      "glue:GetTables", "glue:UpdatePartition", "glue:UpdateTable",
    ]
    resources = [
      "${local.glue}:catalog",
      "${local.glue}:database/${var.database_prefix}landing",
      "${local.glue}:table/${var.database_prefix}landing/*",
    ]
  }

  statement {
    sid       = "Configuration"
    actions   = ["glue:GetSecurityConfiguration"]
    resources = ["*"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${local.region}:${local.account}:log-group:/aws-glue/*"]
  }
}

# For whoever asks the lake: Dagster, and the site. The key of what is read is a right of their machines.
data "aws_iam_policy_document" "reading" {
  statement {
    sid     = "ReadCatalog"
    actions = ["glue:GetDatabase", "glue:GetPartitions", "glue:GetTable", "glue:GetTables"]
    resources = concat(
      ["${local.glue}:catalog"],
      [for database in aws_glue_catalog_database.layer : "${local.glue}:database/${database.name}"],
      [for database in aws_glue_catalog_database.layer : "${local.glue}:table/${database.name}/*"],
    )
  }

  statement {
    sid       = "ReadLake"
    actions   = ["s3:GetObject"]
    resources = ["${var.buckets.lake.arn}/lake/*"]
  }

  statement {
    sid = "Ask"
    actions = [
      "athena:GetQueryExecution", "athena:GetQueryResults", "athena:GetWorkGroup", "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = ["arn:${local.partition}:athena:${local.region}:${local.account}:workgroup/${aws_athena_workgroup.this.name}"]
  }

  # Athena writes its answers by the right of who asks.
  statement {
    sid       = "Answers"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${var.buckets.athena.arn}/${local.results}*"]
  }

  # Whether there is such a bucket is asked without a prefix, so none is asked for here.
  statement {
    sid       = "ReadBuckets"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [var.buckets.lake.arn, var.buckets.athena.arn]
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  suffix = "${data.aws_caller_identity.current.account_id}-${data.aws_region.current.name}"

  # What is in each, and how long. Iceberg's files are never written anew: `retail vacuum` deletes them.
  buckets = {
    # lake/, landing/ and delivered/, whose objects are in the lake once they are taken.
    lake      = { undo_days = 14, expire_days = { "delivered/" = 90 } }
    pipes     = { undo_days = 1, expire_days = { "" = 1 } }
    athena    = { undo_days = 1, expire_days = { "" = 7 } }
    artifacts = { undo_days = 90, expire_days = {} }
  }

  # The prefixes of the lake's bucket where others lay objects down.
  arrivals = toset(["delivered", "landing"])
}

module "logs" {
  source = "../bucket"

  name          = "${var.name}-${local.suffix}-logs"
  takes_logs    = true
  undo_days     = 1
  expire_days   = { "" = var.log_retention_days }
  force_destroy = var.force_destroy
}

# What arrives in the lake's bucket rings here, so that a sensor need not list the bucket to see that there is nothing.
resource "aws_sqs_queue" "arrivals" {
  for_each = local.arrivals

  name                      = "${var.name}-${each.key}"
  message_retention_seconds = 86400 # sensors look for themselves more often than that
  sqs_managed_sse_enabled   = true
  policy                    = data.aws_iam_policy_document.arrivals[each.key].json
}

module "bucket" {
  source   = "../bucket"
  for_each = local.buckets

  name          = "${var.name}-${local.suffix}-${each.key}"
  kms_key_arn   = var.kms_key_arn
  log_bucket    = module.logs.bucket
  undo_days     = each.value.undo_days
  expire_days   = each.value.expire_days
  queues        = each.key == "lake" ? { for key, queue in aws_sqs_queue.arrivals : "${key}/" => queue.arn } : {}
  force_destroy = var.force_destroy
}

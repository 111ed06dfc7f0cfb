mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name          = "retail-prod-123456789012-eu-central-1-lake"
  kms_key_arn   = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_bucket    = { name = "retail-prod-123456789012-eu-central-1-logs" }
  expire_days   = { "delivered/" = 90 }
  undo_days     = 14
  force_destroy = false
}

run "it_is_private_encrypted_and_by_tls_only" {
  command = apply

  assert {
    condition = (
      aws_s3_bucket_public_access_block.this.block_public_acls &&
      aws_s3_bucket_public_access_block.this.block_public_policy &&
      aws_s3_bucket_public_access_block.this.ignore_public_acls &&
      aws_s3_bucket_public_access_block.this.restrict_public_buckets
    )
    error_message = "nobody may make it public"
  }
  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.bucket_key_enabled && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn
    ])
    error_message = "it has to be under the platform's key, and not ask for it with each object"
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.this.statement : statement.effect == "Deny" && anytrue([
        for condition in statement.condition : condition.variable == "aws:SecureTransport" && contains(condition.values, "false")
      ])
    ])
    error_message = "whoever comes without TLS has to be refused"
  }
  assert {
    condition     = aws_s3_bucket_logging.this[0].target_bucket == var.log_bucket.name
    error_message = "who reads it has to be logged"
  }
}

run "what_is_old_goes_and_what_was_deleted_can_be_brought_back" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "without versions nothing can be brought back"
  }
  assert {
    condition = anytrue([
      for rule in aws_s3_bucket_lifecycle_configuration.this.rule :
      try(rule.noncurrent_version_expiration[0].noncurrent_days == 14 && rule.abort_incomplete_multipart_upload[0].days_after_initiation == 2, false)
    ])
    error_message = "versions and uploads that did not end are paid for"
  }
  assert {
    condition = anytrue([
      for rule in aws_s3_bucket_lifecycle_configuration.this.rule :
      try(rule.filter[0].prefix == "delivered/" && rule.expiration[0].days == 90, false)
    ])
    error_message = "what is in the lake need not be kept as it was delivered"
  }
  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "a bucket with data in it may not be destroyed"
  }
}

run "logs_are_taken_from_this_account_alone" {
  command = apply

  variables {
    kms_key_arn = null
    log_bucket  = null
    takes_logs  = true
  }

  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.this.statement : statement.sid == "Logs" && anytrue([
        for condition in statement.condition : condition.variable == "aws:SourceAccount"
      ])
    ])
    error_message = "other accounts could fill the bucket"
  }
  assert {
    condition     = length(aws_s3_bucket_logging.this) == 0
    error_message = "a bucket that logs to itself never ends"
  }
}

run "a_name_that_is_too_long_is_refused" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "a-name-that-is-longer-than-the-sixty-three-characters-that-s3-takes"
  }
}

run "to_keep_nothing_is_refused" {
  command         = plan
  expect_failures = [var.undo_days, var.expire_days]

  variables {
    undo_days   = 0
    expire_days = { "" = 0 }
  }
}

run "it_rings_where_somebody_listens" {
  command = plan

  variables {
    queues = { "landing/" = "arn:aws:sqs:eu-central-1:123456789012:a-queue" }
  }

  assert {
    condition = anytrue([
      for queue in aws_s3_bucket_notification.this.queue : queue.filter_prefix == "landing/" && queue.events == toset(["s3:ObjectCreated:*"])
    ])
    error_message = "a queue has to hear of every new object of its prefix"
  }
}

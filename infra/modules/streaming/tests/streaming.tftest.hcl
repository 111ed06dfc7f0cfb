mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod"
  stream             = { mode = "PROVISIONED", shards = 2 }
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  network            = { subnet_ids = ["subnet-1", "subnet-2"], security_group_id = "sg-1" }
  bundle             = "./tests/lambda-inference-arm64.zip"
  architecture       = "arm64"
  log_retention_days = 90
  metrics_namespace  = "Retail/retail-prod"
  buckets = {
    lake      = { name = "a-lake", arn = "arn:aws:s3:::a-lake" }
    artifacts = { name = "a-artifacts", arn = "arn:aws:s3:::a-artifacts" }
  }
  vectors = {
    url      = "postgresql://reader@db.example.com:5432/recommender"
    user_arn = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/reader"
  }
}

run "events_are_encrypted_and_kept_for_days" {
  command = plan

  assert {
    condition     = aws_kinesis_stream.events.encryption_type == "KMS" && aws_kinesis_stream.events.retention_period == 168 && aws_kinesis_stream.events.shard_count == 2
    error_message = "a stream keeps events for a week, under the platform's key"
  }
}

run "on_demand_has_no_shards_to_choose" {
  command = plan

  variables {
    stream = { mode = "ON_DEMAND" }
  }

  assert {
    condition     = aws_kinesis_stream.events.shard_count == null && aws_kinesis_stream.events.stream_mode_details[0].stream_mode == "ON_DEMAND"
    error_message = "AWS chooses the shards of such a stream"
  }
}

run "what_answers_is_the_live_version_within_firehoses_limits" {
  command = apply

  assert {
    condition = alltrue([
      for made in aws_lambda_function.this :
      made.runtime == "python3.13" && made.architectures == tolist(["arm64"]) && made.timeout <= 300 && made.publish && made.reserved_concurrent_executions == 20
    ])
    error_message = "it has to answer within Firehose's five minutes, and leave the database connections"
  }
  assert {
    condition = toset([for made in aws_lambda_function.this : made.handler]) == toset([
      "lambda_inference.firehose.handler", "lambda_inference.http.handler",
    ])
    error_message = "both entry points have to be there"
  }
  assert {
    condition = anytrue([
      for told in aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].processing_configuration[0].processors[0].parameters :
      told.parameter_name == "LambdaArn" && told.parameter_value == aws_lambda_alias.live["inference"].arn
    ])
    error_message = "Firehose has to ask the live version, and not $LATEST"
  }
  assert {
    condition     = aws_lambda_function_url.http.authorization_type == "AWS_IAM" && aws_lambda_function_url.http.qualifier == "live"
    error_message = "nobody asks without a signature"
  }
}

run "what_failed_without_anybody_waiting_is_kept" {
  command = apply

  assert {
    condition     = alltrue([for made in aws_lambda_function.this : made.dead_letter_config[0].target_arn == aws_sqs_queue.failures.arn]) && aws_sqs_queue.failures.message_retention_seconds == 1209600
    error_message = "it has to be there when somebody looks"
  }
}

run "what_is_delivered_lies_where_the_sensor_looks" {
  command = apply

  assert {
    condition = (
      aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].prefix == "delivered/recommendations/!{timestamp:yyyy/MM/dd/HH}/" &&
      aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].error_output_prefix == "delivered/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/" &&
      aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].custom_time_zone == "UTC"
    )
    error_message = "keys have to be <folder>/YYYY/MM/DD/HH/, in UTC"
  }
  assert {
    condition     = aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].compression_format == "GZIP" && aws_kinesis_firehose_delivery_stream.events.extended_s3_configuration[0].kms_key_arn == var.kms_key_arn
    error_message = "objects have to be packed and under the platform's key"
  }
}

run "the_lambda_logs_in_by_iam_and_no_password_is_anywhere" {
  command = plan

  assert {
    condition = alltrue([
      for made in aws_lambda_function.this :
      made.environment[0].variables["INFERENCE_VECTORS_LOGIN"] == "iam" && !contains(keys(made.environment[0].variables), "INFERENCE_VECTORS_SECRET")
    ])
    error_message = "with a database user of IAM there is no secret"
  }
  assert {
    condition = anytrue([
      for statement in data.aws_iam_policy_document.function.statement :
      statement.sid == "Reader" && statement.resources == toset(["arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/reader"])
    ])
    error_message = "it may connect as the reader and as nobody else"
  }
}

run "nobody_may_do_more_than_he_does" {
  command = plan

  assert {
    condition = alltrue([
      for statement in concat(
        data.aws_iam_policy_document.function.statement,
        data.aws_iam_policy_document.delivery.statement,
        data.aws_iam_policy_document.producer.statement,
      ) : alltrue([for action in statement.actions : !can(regex("\\*", action))]) && (!contains(statement.resources, "*") || statement.sid == "Network")
    ])
    error_message = "an action or a resource is all there are"
  }
  assert {
    condition = alltrue([
      for trust in data.aws_iam_policy_document.trust : anytrue([
        for condition in trust.statement[0].condition : condition.variable == "aws:SourceAccount"
      ])
    ])
    error_message = "another account's services could take the role"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.producer.statement : !contains(statement.actions, "kinesis:GetRecords")])
    error_message = "who sends events need not read others'"
  }
}

run "a_retention_of_a_day_is_refused" {
  command         = plan
  expect_failures = [var.stream]

  variables {
    stream = { mode = "PROVISIONED", retention_hours = 24 }
  }
}

run "an_unknown_mode_is_refused" {
  command         = plan
  expect_failures = [var.stream]

  variables {
    stream = { mode = "SERVERLESS" }
  }
}

run "a_bundle_that_is_not_there_is_refused" {
  command         = plan
  expect_failures = [var.bundle]

  variables {
    bundle = "./tests/lambda-inference-arm64-missing.zip"
  }
}

run "a_bundle_for_another_processor_is_refused" {
  command         = plan
  expect_failures = [var.architecture]

  variables {
    architecture = "x86_64"
  }
}

run "a_password_in_the_url_is_refused" {
  command         = plan
  expect_failures = [var.vectors]

  variables {
    vectors = {
      url      = "postgresql://reader:secret@db.example.com:5432/recommender"
      user_arn = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/reader"
    }
  }
}

run "a_stand_in_of_aws_knows_no_other_login_than_the_urls" {
  command = plan

  variables {
    stand_in = true
    vectors = {
      url      = "postgresql://reader:secret@127.0.0.1:5432/recommender"
      user_arn = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/reader"
    }
  }

  assert {
    condition     = toset([for name in keys(aws_lambda_function.this["inference"].environment[0].variables) : name if startswith(name, "INFERENCE_")]) == toset(["INFERENCE_VECTORS_URL"])
    error_message = "the URL says it all"
  }
}

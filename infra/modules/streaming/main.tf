locals {
  # One zip, an entry point each.
  functions = {
    inference = { handler = "lambda_inference.firehose.handler", told = "Answers the events that Firehose hands it" }
    http      = { handler = "lambda_inference.http.handler", told = "Answers the shop's own requests" }
  }

  settings = merge(
    { INFERENCE_VECTORS_URL = var.vectors.url, POWERTOOLS_METRICS_NAMESPACE = var.metrics_namespace },
    var.stand_in ? {} : { INFERENCE_VECTORS_LOGIN = "iam" },
  )

  time_prefix = "!{timestamp:yyyy/MM/dd/HH}/"
}

resource "aws_kinesis_stream" "events" {
  name             = "${var.name}-events"
  shard_count      = var.stream.mode == "PROVISIONED" ? var.stream.shards : null
  retention_period = var.stream.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = var.kms_key_arn

  stream_mode_details {
    stream_mode = var.stream.mode
  }
}

# The Lambda

resource "aws_s3_object" "bundle" {
  bucket      = var.buckets.artifacts.name
  key         = "lambda/${filesha256(var.bundle)}/${basename(var.bundle)}"
  source      = var.bundle
  source_hash = filemd5(var.bundle)
  kms_key_id  = var.kms_key_arn
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name                  = "${var.name}-${each.key}"
  description                    = each.value.told
  role                           = aws_iam_role.function.arn
  runtime                        = "python3.13"
  architectures                  = [var.architecture]
  handler                        = each.value.handler
  s3_bucket                      = aws_s3_object.bundle.bucket
  s3_key                         = aws_s3_object.bundle.key
  source_code_hash               = filebase64sha256(var.bundle)
  publish                        = true
  memory_size                    = var.memory_mb
  timeout                        = 60 # Firehose waits for five minutes
  reserved_concurrent_executions = var.concurrency
  kms_key_arn                    = var.kms_key_arn

  environment {
    variables = local.settings
  }

  # Of who does not wait for the answer; Firehose does, and lays what failed into its error prefix.
  dead_letter_config {
    target_arn = aws_sqs_queue.failures.arn
  }

  vpc_config {
    subnet_ids         = var.network.subnet_ids
    security_group_ids = [var.network.security_group_id]
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }

  tracing_config {
    mode = "PassThrough"
  }

  # By which Lambda also takes its network interfaces away when it is destroyed.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_sqs_queue" "failures" {
  name                      = "${var.name}-inference-failures"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

# Who asks, asks for this: another version becomes live at once, and the one before it just as quickly again.
resource "aws_lambda_alias" "live" {
  for_each = local.functions

  name             = "live"
  description      = "What answers"
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version
}

resource "aws_lambda_function_url" "http" {
  function_name      = aws_lambda_function.this["http"].function_name
  qualifier          = aws_lambda_alias.live["http"].name
  authorization_type = "AWS_IAM"
}

# The way into the lake

resource "aws_cloudwatch_log_group" "delivery" {
  name              = "/aws/kinesisfirehose/${var.name}-events"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_log_stream" "delivery" {
  name           = "delivery"
  log_group_name = aws_cloudwatch_log_group.delivery.name
}

resource "aws_kinesis_firehose_delivery_stream" "events" {
  name        = "${var.name}-events"
  destination = "extended_s3"

  kinesis_source_configuration {
    kinesis_stream_arn = aws_kinesis_stream.events.arn
    role_arn           = aws_iam_role.delivery.arn
  }

  extended_s3_configuration {
    role_arn            = aws_iam_role.delivery.arn
    bucket_arn          = var.buckets.lake.arn
    kms_key_arn         = var.kms_key_arn
    prefix              = "delivered/recommendations/${local.time_prefix}"
    error_output_prefix = "delivered/!{firehose:error-output-type}/${local.time_prefix}"
    compression_format  = "GZIP"
    buffering_interval  = var.buffer_seconds
    buffering_size      = 64
    custom_time_zone    = "UTC"

    # Each answer ends its line itself.
    processing_configuration {
      enabled = true

      processors {
        type = "Lambda"

        parameters {
          parameter_name  = "LambdaArn"
          parameter_value = aws_lambda_alias.live["inference"].arn
        }

        parameters {
          parameter_name  = "BufferSizeInMBs"
          parameter_value = "0.5" # an answer is several times as large as its event, and a response has 6 MB
        }

        parameters {
          parameter_name  = "BufferIntervalInSeconds"
          parameter_value = "1"
        }
      }
    }

    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = aws_cloudwatch_log_group.delivery.name
      log_stream_name = aws_cloudwatch_log_stream.delivery.name
    }
  }

  # A stream that may not do what it has to is made, and fails then.
  depends_on = [aws_iam_role_policy.delivery]
}

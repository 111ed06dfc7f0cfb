mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                = "retail-prod"
  image_id            = null
  network             = { subnet_ids = ["subnet-1", "subnet-2"], security_group_id = "sg-1" }
  bundle              = { bucket = "a-artifacts", bucket_arn = "arn:aws:s3:::a-artifacts", key = "app/1/retail-platform-0.1.0-arm64.zip" }
  glue                = { job = "retail-prod", databases = ["retail_raw", "retail_star"] }
  reading_policy_json = "{}"
  source_secret_arn   = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-1"
  stream_arn          = "arn:aws:kinesis:eu-central-1:123456789012:stream/events"
  arrival_queue_arns  = ["arn:aws:sqs:eu-central-1:123456789012:a-queue"]
  metrics_namespace   = "Retail/retail-prod"
  kms_key_arn         = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days  = 90
  settings = {
    RETAIL_ENV         = "aws"
    RETAIL_RECORDS_URL = "postgresql://retail_publisher@db-1.example.com:5432/dagster"
  }
  buckets = {
    lake  = { name = "a-lake", arn = "arn:aws:s3:::a-lake" }
    pipes = { name = "a-pipes", arn = "arn:aws:s3:::a-pipes" }
  }
  vectors = {
    secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:rds!db-2"
    user_arn   = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-ABC/retail_publisher"
  }
}

run "it_runs_dagster_that_nobody_reaches_from_outside" {
  command = plan

  assert {
    condition     = strcontains(output.user_data, "dagster-webserver --host 127.0.0.1 --port 3000") && strcontains(output.user_data, "dagster-daemon run")
    error_message = "webserver and daemon have to run, the webserver for Session Manager alone"
  }
  assert {
    condition     = strcontains(output.user_data, "RETAIL_ENV=\"aws\"") && strcontains(output.user_data, "retail prepare --admin-secret ${var.vectors.secret_arn}")
    error_message = "it has to know that it is on AWS, and prepare its databases"
  }
}

run "another_version_is_another_machine" {
  command = plan

  variables {
    bundle = { bucket = "a-artifacts", bucket_arn = "arn:aws:s3:::a-artifacts", key = "app/2/retail-platform-0.2.0-arm64.zip" }
  }

  assert {
    condition     = strcontains(output.user_data, "app/2/retail-platform-0.2.0-arm64.zip")
    error_message = "the machine would not change"
  }
}

run "it_may_do_what_it_does_and_no_more" {
  command = plan

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.work.statement :
      alltrue([for action in statement.actions : !strcontains(action, "*")]) && (!contains(statement.resources, "*") || statement.sid == "Metrics")
    ])
    error_message = "an action or a resource is all there are"
  }
  assert {
    condition     = anytrue([for statement in data.aws_iam_policy_document.work.statement : statement.actions == toset(["rds-db:connect"]) && statement.resources == toset([var.vectors.user_arn])])
    error_message = "it logs in as the publisher and as nobody else"
  }
}

run "without_records_elsewhere_it_is_refused" {
  command         = plan
  expect_failures = [var.settings]

  variables {
    settings = { RETAIL_ENV = "aws" }
  }
}

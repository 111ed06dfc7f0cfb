mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name            = "retail-prod"
  database_prefix = "retail_"
  kms_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/1"
  buckets = {
    lake      = { name = "a-lake", arn = "arn:aws:s3:::a-lake" }
    pipes     = { name = "a-pipes", arn = "arn:aws:s3:::a-pipes" }
    artifacts = { name = "a-artifacts", arn = "arn:aws:s3:::a-artifacts" }
    athena    = { name = "a-athena", arn = "arn:aws:s3:::a-athena" }
  }
  subnet             = { id = "subnet-1", availability_zone = "eu-central-1a", security_group_id = "sg-1" }
  source_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:retail/source-abc"
  bundle             = "./tests/bundle"
  queries            = "./tests/queries"
  log_retention_days = 90
  force_destroy      = false
}

run "each_layer_has_its_database_where_the_lake_is" {
  command = plan

  assert {
    condition     = toset(values(output.database_names)) == toset(["retail_raw", "retail_star", "retail_ml", "retail_events"])
    error_message = "the databases have to be those of RETAIL_DATABASE_PREFIX"
  }
  assert {
    condition     = aws_glue_catalog_database.layer["star"].location_uri == "s3://a-lake/lake/star"
    error_message = "the lake is below lake/"
  }
}

run "the_job_runs_the_bundle_and_asks_no_package_index" {
  command = plan

  assert {
    condition = (
      aws_glue_job.this.glue_version == "5.1" && aws_glue_job.this.command[0].python_version == "3" &&
      aws_glue_job.this.command[0].script_location == "s3://a-artifacts/glue/retail_glue_job.py"
    )
    error_message = "the job has to run our script on Glue 5.1"
  }
  assert {
    condition = aws_glue_job.this.default_arguments["--additional-python-modules"] == join(",", [
      "s3://a-artifacts/glue/retail_platform_glue-1-py3-none-any.whl", "s3://a-artifacts/glue/wheels/scipy-1-any.whl",
    ])
    error_message = "both wheels have to come from the bucket"
  }
  assert {
    condition     = aws_glue_job.this.job_run_queuing_enabled && aws_glue_job.this.default_arguments["--enable-auto-scaling"] == "true" && aws_glue_job.this.execution_property[0].max_concurrent_runs == 1
    error_message = "one run at a time, the next one waits, and no worker is paid for that does nothing"
  }
  assert {
    condition     = aws_glue_job.this.timeout <= 120 && aws_glue_job.this.max_retries == 0
    error_message = "a run that hangs is paid for, and who ordered it decides whether it is tried again"
  }
}

run "queries_are_limited_encrypted_and_known_by_name" {
  command = plan

  assert {
    condition = (
      aws_athena_workgroup.this.configuration[0].enforce_workgroup_configuration &&
      aws_athena_workgroup.this.configuration[0].bytes_scanned_cutoff_per_query == 100 * pow(1024, 3) &&
      aws_athena_workgroup.this.configuration[0].result_configuration[0].encryption_configuration[0].kms_key_arn == var.kms_key_arn
    )
    error_message = "who asks may not choose another place, key or limit"
  }
  assert {
    condition     = trimspace(aws_athena_named_query.question["lines.sql"].query) == "SELECT count(*) AS lines FROM \"retail_star\".\"fact_orders\"" && aws_athena_named_query.question["lines.sql"].name == "lines"
    error_message = "a question has to name the databases of this environment"
  }
}

run "roles_are_assumed_for_this_account_and_may_do_no_more_than_they_do" {
  command = plan

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.trust.statement : anytrue([
        for condition in statement.condition : condition.variable == "aws:SourceAccount" && contains(condition.values, "123456789012")
      ])
    ])
    error_message = "another account's jobs could take the role"
  }
  assert {
    condition = alltrue([
      for statement in concat(data.aws_iam_policy_document.job.statement, data.aws_iam_policy_document.crawler.statement) :
      alltrue([for action in statement.actions : !can(regex("\\*", action))])
    ])
    error_message = "an action has a wildcard"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.job.statement :
      !contains(statement.resources, "*") || contains(["Look", "Metrics"], statement.sid)
    ])
    error_message = "a resource is all there are"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.job.statement :
      statement.sid != "Key" || anytrue([for condition in statement.condition : condition.variable == "kms:ViaService"])
    ])
    error_message = "the key may be used for the job's own services alone"
  }
  assert {
    condition = alltrue(flatten([
      for statement in data.aws_iam_policy_document.reading.statement : [
        !contains(statement.resources, "*"),
        [for action in statement.actions : can(regex("^(athena:(Get|Start|Stop)Query[A-Za-z]+|athena:GetWorkGroup|glue:Get[A-Za-z]+|s3:(Get|List)[A-Za-z]+)$", action)) || statement.sid == "Answers"],
      ]
    ]))
    error_message = "who asks the lake writes nothing but Athena's answers"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.reading.statement : statement.resources == toset(["${var.buckets.athena.arn}/results/*"]) if statement.sid == "Answers"
    ])
    error_message = "and these where answers are"
  }
}

run "a_bundle_that_is_not_there_is_refused" {
  command         = plan
  expect_failures = [var.bundle]

  variables {
    bundle = "./tests"
  }
}

run "questions_that_are_not_there_are_refused" {
  command         = plan
  expect_failures = [var.queries]

  variables {
    queries = "./tests"
  }
}

run "what_is_no_secret_is_refused" {
  command         = plan
  expect_failures = [var.source_secret_arn]

  variables {
    source_secret_arn = "retail/source"
  }
}

run "a_driver_alone_is_refused" {
  command         = plan
  expect_failures = [var.workers]

  variables {
    workers = 1
  }
}

run "a_limit_of_nothing_is_refused" {
  command         = plan
  expect_failures = [var.scan_limit_gb]

  variables {
    scan_limit_gb = 0
  }
}

run "a_prefix_that_athena_does_not_take_is_refused" {
  command         = plan
  expect_failures = [var.database_prefix]

  variables {
    database_prefix = "Retail-"
  }
}

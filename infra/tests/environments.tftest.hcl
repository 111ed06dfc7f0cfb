mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment        = "prod"
  zone_count         = 3
  monthly_budget_usd = 1000
  source_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:retail/source-abc"
  glue_bundle        = "./modules/catalog_etl/tests/bundle"
  athena_queries     = "./modules/catalog_etl/tests/queries"
}

run "the_platform_is_told_all_that_it_needs" {
  command = apply

  assert {
    condition     = output.settings.RETAIL_ENV == "aws" && output.settings.RETAIL_GLUE_JOB == "retail-prod" && output.settings.RETAIL_ATHENA_WORKGROUP == "retail-prod"
    error_message = "the settings have to name what was made"
  }
}

run "with_a_vector_store_there_is_a_stream" {
  command = plan

  variables {
    lambda_bundle = "./modules/streaming/tests/lambda-inference-arm64.zip"
    vectors = {
      url      = "postgresql://reader@db.example.com:5432/recommender"
      user_arn = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-1/reader"
    }
  }

  assert {
    condition     = output.settings.RETAIL_EVENT_STREAM == "retail-prod-events"
    error_message = "the platform has to be told its stream"
  }
}

run "one_zone_in_prod_is_refused" {
  command         = plan
  expect_failures = [var.zone_count]

  variables {
    zone_count = 1
  }
}

run "one_zone_in_dev_is_not" {
  command = plan

  variables {
    environment = "dev"
    zone_count  = 1
  }
}

run "an_unknown_environment_is_refused" {
  command         = plan
  expect_failures = [var.environment]

  variables {
    environment = "staging"
  }
}

run "a_name_that_is_too_long_is_refused" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "a-name-that-is-too-long"
  }
}

run "what_is_no_region_is_refused" {
  command         = plan
  expect_failures = [var.region]

  variables {
    region = "Frankfurt"
  }
}

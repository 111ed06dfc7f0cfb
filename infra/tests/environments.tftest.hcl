mock_provider "aws" {
  source = "./tests/mocks"

  # Here alone: where buckets are told from each other, each needs one of its own.
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::a-bucket" }
  }
}

variables {
  environment        = "prod"
  zone_count         = 3
  log_retention_days = 365
  monthly_budget_usd = 1000
  glue_bundle        = "./modules/catalog_etl/tests/bundle"
  athena_queries     = "./modules/catalog_etl/tests/queries"
  lambda_bundle      = "./modules/streaming/tests/lambda-inference-arm64.zip"
  app_bundles        = "./modules/app_bundle/tests"
}

run "the_platform_is_told_all_that_it_needs" {
  command = apply

  assert {
    condition     = output.settings.RETAIL_ENV == "aws" && output.settings.RETAIL_GLUE_JOB == "retail-prod" && output.settings.RETAIL_ATHENA_WORKGROUP == "retail-prod" && output.settings.RETAIL_EVENT_STREAM == "retail-prod-events"
    error_message = "the settings have to name what was made"
  }
  assert {
    condition     = output.settings.RETAIL_SOURCE_URL == "mysql://db-1.example.com:3306/classicmodels?ssl-mode=required" && output.settings.RETAIL_VECTORS_URL == "postgresql://retail_publisher@db-1.example.com:5432/recommender"
    error_message = "they have to say where the databases are, without any login"
  }
  assert {
    condition     = length([for value in values(output.settings) : value if can(regex("://[^/@]*:[^/@]*@", value))]) == 0
    error_message = "a password stands in an output"
  }
}

run "an_existing_source_takes_the_place_of_ours" {
  command = apply

  variables {
    source_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:retail/source-abc"
  }

  assert {
    condition     = length(module.source_db) == 0 && output.settings.RETAIL_SOURCE_SECRET == var.source_secret_arn && !contains(keys(output.settings), "RETAIL_SOURCE_URL")
    error_message = "the secret of an existing source says where it is"
  }
}

run "the_web_tier_is_there_where_it_has_a_certificate" {
  command = apply

  variables {
    web = {
      certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    }
  }

  assert {
    condition     = output.site_url == "https://web-1.eu-central-1.elb.amazonaws.com"
    error_message = "the load balancer has to be told"
  }
}

# A plan of all of it takes a while, so one run has several wrong inputs: each has to be refused.
run "what_prod_must_not_be_is_refused" {
  command         = plan
  expect_failures = [var.zone_count, var.egress, var.log_retention_days, var.stand_in_vectors_url, var.app_version]

  variables {
    zone_count           = 1
    egress               = "none"
    log_retention_days   = 30
    stand_in_vectors_url = "postgresql://retail:secret@db.example.com/recommender"
    app_version          = "latest"
  }
}

run "what_aws_does_not_take_is_refused" {
  command         = plan
  expect_failures = [var.environment, var.name, var.region]

  variables {
    environment = "staging"
    name        = "a-name-that-is-too-long"
    region      = "Frankfurt"
  }
}

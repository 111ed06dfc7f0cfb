mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name              = "retail-prod"
  alarm_topic_arn   = "arn:aws:sns:eu-central-1:123456789012:alarms"
  metrics_namespace = "Retail/retail-prod"
  glue_job          = "retail-prod"
  stream            = "retail-prod-events"
  delivery_stream   = "retail-prod-events"
  functions         = { inference = "retail-prod-inference", http = "retail-prod-http" }
  failure_queues    = { inference = "retail-prod-inference-failures" }
  databases         = { source = "retail-prod-source", vectors = "retail-prod-vectors" }
  site              = { load_balancer = "app/web/1", target_group = "targetgroup/web/1" }
}

run "every_alarm_tells_somebody_what_to_do" {
  command = plan

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.this), [aws_cloudwatch_metric_alarm.degraded]) :
      alarm.alarm_actions == toset([var.alarm_topic_arn]) && alarm.ok_actions == toset([var.alarm_topic_arn]) && strcontains(alarm.alarm_description, "infra/README.md")
    ])
    error_message = "an alarm that nobody hears, or that does not say where to read on"
  }
}

run "all_that_matters_is_watched" {
  command = plan

  assert {
    condition = length(setsubtract([
      "stale_lake", "failed_runs", "failed_checks", "stream_behind", "stream_throttled", "delivery_late", "delivery_failed", "answers_failed",
      "inference_errors", "inference_throttles", "http_errors", "http_throttles", "inference_failures", "source_cpu", "source_disk",
      "vectors_cpu", "vectors_disk", "site_errors", "site_unreachable", "site_slow", "site_machines",
    ], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "something is not watched"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["stale_lake"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.this["stale_lake"].threshold == 93600
    error_message = "a Dagster that says nothing is as bad as a lake of the day before"
  }
}

run "without_a_site_nobody_watches_it" {
  command = plan

  variables {
    site = null
  }

  assert {
    condition     = !anytrue([for key in keys(aws_cloudwatch_metric_alarm.this) : startswith(key, "site_")])
    error_message = "an alarm on what is not there"
  }
  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 12
    error_message = "the dashboard tells the story without its end"
  }
}

run "the_dashboard_tells_it_from_the_source_to_the_people" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 15
    error_message = "five rows of three graphs"
  }
}

run "to_be_fresh_within_no_time_is_refused" {
  command         = plan
  expect_failures = [var.freshness_hours]

  variables {
    freshness_hours = 0
  }
}

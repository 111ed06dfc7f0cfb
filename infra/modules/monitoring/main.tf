data "aws_region" "current" {}

locals {
  inference = { namespace = "AWS/Lambda", dimensions = { FunctionName = var.functions.inference, Resource = "${var.functions.inference}:live" } }
  firehose  = { namespace = "AWS/Firehose", dimensions = { DeliveryStreamName = var.delivery_stream } }
  kinesis   = { namespace = "AWS/Kinesis", dimensions = { StreamName = var.stream } }
  platform  = { namespace = var.metrics_namespace, dimensions = {} }
  answers   = { namespace = var.metrics_namespace, dimensions = { service = "lambda_inference" } }

  # What each means, and what to do then, is in the README of infra/, by its name.
  of_the_lake = {
    stale_lake = merge(local.platform, {
      metric = "Freshness", dimensions = { layer = "star" }, statistic = "Maximum", threshold = var.freshness_hours * 3600
      period = 900, missing = "breaching"
    })
    failed_runs = merge(local.platform, {
      metric = "FailedRuns", statistic = "Sum", threshold = 0, period = 300
    })
    failed_checks = merge(local.platform, {
      metric = "FailedChecks", statistic = "Sum", threshold = 0, period = 300
    })
  }

  of_the_stream = {
    stream_behind = merge(local.firehose, {
      metric = "KinesisMillisBehindLatest", statistic = "Maximum", threshold = 600000, period = 300
    })
    stream_throttled = merge(local.kinesis, {
      metric = "WriteProvisionedThroughputExceeded", statistic = "Sum", threshold = 0, period = 300, times = 3
    })
    delivery_late = merge(local.firehose, {
      metric = "DeliveryToS3.DataFreshness", statistic = "Maximum", threshold = 900, period = 300
    })
    delivery_failed = merge(local.firehose, {
      metric = "DeliveryToS3.Success", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 1, period = 300
    })
    answers_failed = merge(local.answers, {
      metric = "RejectedRecords", statistic = "Sum", threshold = 0, period = 300
    })
  }

  of_the_lambda = merge([
    for key, function in var.functions : {
      "${key}_errors" = {
        namespace  = "AWS/Lambda", metric = "Errors", statistic = "Sum", threshold = 0, period = 300
        dimensions = { FunctionName = function, Resource = "${function}:live" }
      }
      "${key}_throttles" = {
        namespace  = "AWS/Lambda", metric = "Throttles", statistic = "Sum", threshold = 0, period = 300, times = 3
        dimensions = { FunctionName = function, Resource = "${function}:live" }
      }
    }
  ]...)

  of_queues = {
    for key, queue in var.failure_queues : "${key}_failures" => {
      namespace  = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", statistic = "Maximum", threshold = 0, period = 300
      dimensions = { QueueName = queue }
    }
  }

  of_databases = merge([
    for key, identifier in var.databases : {
      "${key}_cpu" = {
        namespace  = "AWS/RDS", metric = "CPUUtilization", statistic = "Average", threshold = 85, period = 300, times = 3
        dimensions = { DBInstanceIdentifier = identifier }
      }
      "${key}_disk" = {
        namespace  = "AWS/RDS", metric = "FreeStorageSpace", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 2147483648, period = 300
        dimensions = { DBInstanceIdentifier = identifier }
      }
      "${key}_memory" = {
        namespace  = "AWS/RDS", metric = "FreeableMemory", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 67108864, period = 300, times = 3
        dimensions = { DBInstanceIdentifier = identifier }
      }
    }
  ]...)

  site = { LoadBalancer = try(var.site.load_balancer, "") }
  of_the_site = {
    site_errors = {
      namespace  = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum", threshold = 10, period = 300
      dimensions = local.site
    }
    site_unreachable = {
      namespace  = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", statistic = "Sum", threshold = 10, period = 300
      dimensions = local.site
    }
    site_slow = {
      namespace  = "AWS/ApplicationELB", metric = "TargetResponseTime", extended = "p99", threshold = 2, period = 300, times = 3
      dimensions = local.site
    }
    site_machines = {
      namespace  = "AWS/ApplicationELB", metric = "HealthyHostCount", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 2, period = 60, times = 5
      dimensions = merge(local.site, { TargetGroup = try(var.site.target_group, "") }), missing = "breaching"
    }
  }

  alarms = merge(
    local.of_the_lake, local.of_the_stream, local.of_the_lambda, local.of_queues, local.of_databases,
    { for key, alarm in local.of_the_site : key => alarm if var.site != null },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = "What to do: ${each.key} in infra/README.md"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = lookup(each.value, "extended", null) == null ? lookup(each.value, "statistic", null) : null
  extended_statistic  = lookup(each.value, "extended", null)
  comparison_operator = lookup(each.value, "comparison", "GreaterThanThreshold")
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = lookup(each.value, "times", 1)
  treat_missing_data  = lookup(each.value, "missing", "notBreaching")
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}

# Answers from memory are answers; when they are many, the vector store is away.
resource "aws_cloudwatch_metric_alarm" "degraded" {
  alarm_name          = "${var.name}-degraded-share"
  alarm_description   = "What to do: degraded_share in infra/README.md"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0.05
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]

  metric_query {
    id          = "share"
    expression  = "IF(events > 0, degraded / events, 0)"
    label       = "share of degraded answers"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { degraded = "Degraded", events = "Events" }

    content {
      id = metric_query.key

      metric {
        namespace   = local.answers.namespace
        metric_name = metric_query.value
        dimensions  = local.answers.dimensions
        period      = 300
        stat        = "Sum"
      }
    }
  }
}

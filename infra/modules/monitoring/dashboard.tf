locals {
  # From the source to what people see; a row each, three graphs a row.
  story = [
    { title = "Lake: seconds since each layer was published", stat = "Maximum", lines = [for layer in ["raw", "star", "ml", "events"] : [var.metrics_namespace, "Freshness", "layer", layer]] },
    {
      title = "Runs and checks", stat = "Sum"
      lines = [[var.metrics_namespace, "Materializations"], [var.metrics_namespace, "FailedRuns"], [var.metrics_namespace, "FailedChecks"]]
    },
    { title = "Glue: seconds a job ran", stat = "Maximum", lines = [["Glue", "glue.driver.aggregate.elapsedTime", "JobName", var.glue_job, "JobRunId", "ALL", "Type", "count"]] },
    {
      title = "Stream: events in, and events refused", stat = "Sum"
      lines = [["AWS/Kinesis", "IncomingRecords", "StreamName", var.stream], ["AWS/Kinesis", "WriteProvisionedThroughputExceeded", "StreamName", var.stream]]
    },
    {
      title = "Stream: how far behind, ms", stat = "Maximum"
      lines = [["AWS/Firehose", "KinesisMillisBehindLatest", "DeliveryStreamName", var.delivery_stream]]
    },
    {
      title = "Delivery: age of the oldest event, s", stat = "Maximum"
      lines = [["AWS/Firehose", "DeliveryToS3.DataFreshness", "DeliveryStreamName", var.delivery_stream]]
    },
    {
      title = "Answers, and those from memory", stat = "Sum"
      lines = [for metric in ["Events", "RejectedRecords", "Degraded"] : [var.metrics_namespace, metric, "service", "lambda_inference"]]
    },
    { title = "Lambda: duration p99, ms", stat = "p99", lines = [for function in values(var.functions) : ["AWS/Lambda", "Duration", "FunctionName", function]] },
    {
      title = "Lambda: errors and throttles", stat = "Sum"
      lines = concat([for function in values(var.functions) : [for metric in ["Errors", "Throttles"] : ["AWS/Lambda", metric, "FunctionName", function]]]...)
    },
    { title = "Databases: processor, %", stat = "Average", lines = [for identifier in values(var.databases) : ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", identifier]] },
    { title = "Databases: connections", stat = "Maximum", lines = [for identifier in values(var.databases) : ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", identifier]] },
    { title = "Databases: disk left, bytes", stat = "Minimum", lines = [for identifier in values(var.databases) : ["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", identifier]] },
  ]

  of_people = [
    { title = "Site: requests", stat = "Sum", lines = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", try(var.site.load_balancer, "")]] },
    { title = "Site: p99 of the answer, s", stat = "p99", lines = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", try(var.site.load_balancer, "")]] },
    {
      title = "Site: errors", stat = "Sum"
      lines = [for metric in ["HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] : ["AWS/ApplicationELB", metric, "LoadBalancer", try(var.site.load_balancer, "")]]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for number, graph in concat(local.story, [for graph in local.of_people : graph if var.site != null]) : {
        type   = "metric"
        x      = number % 3 * 8
        y      = floor(number / 3) * 6
        width  = 8
        height = 6
        properties = {
          title   = graph.title
          region  = data.aws_region.current.name
          view    = "timeSeries"
          stat    = graph.stat
          period  = 300
          metrics = graph.lines
        }
      }
    ]
  })
}

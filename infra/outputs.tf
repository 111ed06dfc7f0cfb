output "settings" {
  description = "What the platform has to be told, by the name of its variable."
  value = merge(
    {
      AWS_DEFAULT_REGION      = var.region
      RETAIL_ENV              = "aws"
      RETAIL_LAKE_BUCKET      = module.lake.buckets.lake.name
      RETAIL_PIPES_BUCKET     = module.lake.buckets.pipes.name
      RETAIL_GLUE_JOB         = module.catalog_etl.job_name
      RETAIL_ATHENA_WORKGROUP = module.catalog_etl.workgroup
      RETAIL_DATABASE_PREFIX  = var.database_prefix
      RETAIL_SOURCE_SECRET    = var.source_secret_arn
    },
    { for made in module.streaming : "RETAIL_EVENT_STREAM" => made.stream.name },
  )
}

output "streaming" {
  description = "Where events go and recommendations come from: the stream, the function URL and the policy of who sends events; null without a vector store."
  value       = one(module.streaming)
}

output "alarm_topic_arn" {
  description = "The SNS topic of alarms."
  value       = module.foundation.alarm_topic_arn
}

output "network" {
  description = "The network: its id, its subnets by kind, each with its zone, its security groups by whom they are for, and the route tables of its application subnets, for a way to an existing source."
  value       = module.network.network
}

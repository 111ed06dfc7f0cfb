locals {
  name     = "${var.name}-${var.environment}"
  is_prod  = var.environment == "prod"
  is_local = var.environment == "local"

  metrics_namespace = "Retail/${local.name}"

  # A stand-in of AWS knows no newest image.
  image_id = local.is_local ? "ami-00000000" : null

  source_secret_arn = var.source_secret_arn == null ? module.source_db[0].secret_arn : var.source_secret_arn

  # A stand-in of AWS makes no secrets for its databases.
  vectors_secret_arn = local.is_local ? local.source_secret_arn : module.vector_db.secret_arn

  # The site reads the lake, and knows neither the vector store nor Dagster's records.
  site_settings = merge(
    { for name, value in local.settings : name => value if !contains(local.not_the_sites, name) },
    { RETAIL_RECOMMENDER = module.streaming.alias_arns.http },
  )
  not_the_sites = [
    "RETAIL_VECTORS_URL", "RETAIL_RECORDS_URL", "RETAIL_DELIVERED_QUEUE", "RETAIL_LANDING_QUEUE", "RETAIL_METRICS_NAMESPACE",
    "RETAIL_SOURCE_URL",
  ]

  # What the platform has to be told, wherever it runs.
  settings = merge(
    {
      AWS_DEFAULT_REGION       = var.region
      RETAIL_ENV               = "aws"
      RETAIL_LAKE_BUCKET       = module.lake.buckets.lake.name
      RETAIL_PIPES_BUCKET      = module.lake.buckets.pipes.name
      RETAIL_GLUE_JOB          = module.catalog_etl.job_name
      RETAIL_ATHENA_WORKGROUP  = module.catalog_etl.workgroup
      RETAIL_DATABASE_PREFIX   = var.database_prefix
      RETAIL_SOURCE_SECRET     = local.source_secret_arn
      RETAIL_VECTORS_URL       = module.vector_db.publisher.url
      RETAIL_RECORDS_URL       = module.vector_db.publisher.records_url
      RETAIL_EVENT_STREAM      = module.streaming.stream.name
      RETAIL_DELIVERED_QUEUE   = module.lake.arrivals["delivered"].url
      RETAIL_LANDING_QUEUE     = module.lake.arrivals["landing"].url
      RETAIL_METRICS_NAMESPACE = local.metrics_namespace
    },
    { for made in module.source_db : "RETAIL_SOURCE_URL" => made.url },
  )
}

module "foundation" {
  source = "./modules/foundation"

  name               = local.name
  monthly_budget_usd = var.monthly_budget_usd
  alarm_emails       = var.alarm_emails
  protected          = local.is_prod
}

module "network" {
  source = "./modules/network"

  name               = local.name
  cidr               = var.vpc_cidr
  source_cidrs       = var.source_cidrs
  web_takes_orders   = try(var.web.orders_secret_arn, null) != null
  source_port        = var.source_secret_arn == null ? 3306 : var.source_port
  zone_count         = var.zone_count
  egress             = var.egress
  nat_in_every_zone  = local.is_prod
  has_prefix_lists   = !local.is_local
  kms_key_arn        = module.foundation.kms_key_arn
  log_retention_days = var.log_retention_days
}

module "lake" {
  source = "./modules/lake"

  name               = local.name
  kms_key_arn        = module.foundation.kms_key_arn
  log_retention_days = var.log_retention_days
  force_destroy      = !local.is_prod
}

# The databases

module "source_db" {
  source = "./modules/source_db"
  count  = var.source_secret_arn == null ? 1 : 0

  name               = local.name
  instance_class     = var.database_class
  subnets            = module.network.network.subnets.data
  security_group_id  = module.network.network.security_group_ids.source_db
  kms_key_arn        = module.foundation.kms_key_arn
  protected          = local.is_prod
  backup_days        = var.backup_days
  log_retention_days = var.log_retention_days
}

module "vector_db" {
  source = "./modules/vector_db"

  name               = local.name
  instance_class     = var.database_class
  subnets            = module.network.network.subnets.data
  security_group_id  = module.network.network.security_group_ids.vector_db
  kms_key_arn        = module.foundation.kms_key_arn
  protected          = local.is_prod
  backup_days        = var.backup_days
  log_retention_days = var.log_retention_days
}

# What builds the lake

module "catalog_etl" {
  source = "./modules/catalog_etl"

  name               = local.name
  database_prefix    = var.database_prefix
  buckets            = module.lake.buckets
  kms_key_arn        = module.foundation.kms_key_arn
  source_secret_arn  = local.source_secret_arn
  bundle             = var.glue_bundle
  queries            = var.athena_queries
  workers            = var.glue_workers
  scan_limit_gb      = var.scan_limit_gb
  log_retention_days = var.log_retention_days
  force_destroy      = !local.is_prod

  subnet = {
    id                = module.network.network.subnets.app[0].id
    availability_zone = module.network.network.subnets.app[0].zone
    security_group_id = module.network.network.security_group_ids.glue
  }
}

module "app_bundle" {
  source = "./modules/app_bundle"

  path        = "${var.app_bundles}/retail-platform-${var.app_version}-arm64.zip"
  bucket      = module.lake.buckets.artifacts
  kms_key_arn = module.foundation.kms_key_arn
}

module "orchestrator" {
  source = "./modules/orchestrator"

  name                = local.name
  image_id            = local.image_id
  bundle              = module.app_bundle.bundle
  settings            = local.settings
  buckets             = module.lake.buckets
  glue                = { job = module.catalog_etl.job_name, databases = values(module.catalog_etl.database_names) }
  reading_policy_json = module.catalog_etl.reading_policy_json
  source_secret_arn   = local.source_secret_arn
  vectors             = { secret_arn = local.vectors_secret_arn, user_arn = module.vector_db.publisher.user_arn }
  stream_arn          = module.streaming.stream.arn
  arrival_queue_arns  = [for queue in module.lake.arrivals : queue.arn]
  metrics_namespace   = local.metrics_namespace
  kms_key_arn         = module.foundation.kms_key_arn
  log_retention_days  = var.log_retention_days

  network = {
    subnet_ids        = module.network.network.subnets.app[*].id
    security_group_id = module.network.network.security_group_ids.orchestrator
  }
}

# What answers people

module "streaming" {
  source = "./modules/streaming"

  name               = local.name
  stream             = var.stream
  buckets            = module.lake.buckets
  kms_key_arn        = module.foundation.kms_key_arn
  bundle             = var.lambda_bundle
  architecture       = var.lambda_architecture
  stand_in           = local.is_local
  concurrency        = var.lambda_concurrency
  buffer_seconds     = var.buffer_seconds
  metrics_namespace  = local.metrics_namespace
  log_retention_days = var.log_retention_days

  vectors = {
    url      = local.is_local ? var.stand_in_vectors_url : module.vector_db.reader.url
    user_arn = module.vector_db.reader.user_arn
  }

  network = {
    subnet_ids        = module.network.network.subnets.app[*].id
    security_group_id = module.network.network.security_group_ids.lambda
  }
}

module "web" {
  source = "./modules/web"
  count  = var.web == null ? 0 : 1

  name                  = local.name
  certificate_arn       = var.web.certificate_arn
  size                  = var.web.size
  image_id              = local.image_id
  bundle                = module.app_bundle.bundle
  settings              = local.site_settings
  sign_in               = var.web.sign_in
  orders_secret_arn     = var.web.orders_secret_arn
  stream_arn            = module.streaming.stream.arn
  recommender_alias_arn = module.streaming.alias_arns.http
  log_bucket            = module.lake.buckets.logs
  reading_policy_json   = module.catalog_etl.reading_policy_json
  stand_in              = local.is_local
  protected             = local.is_prod
  kms_key_arn           = module.foundation.kms_key_arn
  log_retention_days    = var.log_retention_days

  network = {
    vpc_id                = module.network.network.vpc_id
    public_subnet_ids     = module.network.network.subnets.public[*].id
    app_subnet_ids        = module.network.network.subnets.app[*].id
    alb_security_group_id = module.network.network.security_group_ids.alb
    web_security_group_id = module.network.network.security_group_ids.web
  }
}

# What watches it

module "monitoring" {
  source = "./modules/monitoring"

  name              = local.name
  alarm_topic_arn   = module.foundation.alarm_topic_arn
  metrics_namespace = local.metrics_namespace
  glue_job          = module.catalog_etl.job_name
  stream            = module.streaming.names.stream
  delivery_stream   = module.streaming.names.delivery_stream
  functions         = module.streaming.names.functions
  failure_queues    = { inference = module.streaming.names.failure_queue }
  site              = one(module.web[*].load_balancer)

  databases = merge(
    { vectors = module.vector_db.database.identifier },
    { for made in module.source_db : "source" => made.database.identifier },
  )
}

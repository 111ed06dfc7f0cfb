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
  source_port        = var.source_port
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

module "catalog_etl" {
  source = "./modules/catalog_etl"

  name               = local.name
  database_prefix    = var.database_prefix
  buckets            = module.lake.buckets
  kms_key_arn        = module.foundation.kms_key_arn
  source_secret_arn  = var.source_secret_arn
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

module "streaming" {
  source = "./modules/streaming"
  count  = var.vectors == null ? 0 : 1

  name               = local.name
  stream             = var.stream
  buckets            = module.lake.buckets
  kms_key_arn        = module.foundation.kms_key_arn
  bundle             = var.lambda_bundle
  architecture       = var.lambda_architecture
  vectors            = var.vectors
  stand_in           = local.is_local
  concurrency        = var.lambda_concurrency
  buffer_seconds     = var.buffer_seconds
  log_retention_days = var.log_retention_days

  network = {
    subnet_ids        = module.network.network.subnets.app[*].id
    security_group_id = module.network.network.security_group_ids.lambda
  }
}

locals {
  name     = "${var.name}-${var.environment}"
  is_prod  = var.environment == "prod"
  is_local = var.environment == "local"
}

locals {
  name = "${var.name}-orchestrator"
}

# Dagster's webserver, which Session Manager leads to, and its daemon; what they know is in PostgreSQL.
module "machines" {
  source = "../machines"

  name               = local.name
  instance_type      = var.instance_type
  image_id           = var.image_id
  size               = { min = 1, max = 1 }
  subnet_ids         = var.network.subnet_ids
  security_group_id  = var.network.security_group_id
  bundle             = var.bundle
  environment        = var.settings
  prepare            = "retail prepare --admin-secret ${var.vectors.secret_arn}"
  policy_json        = data.aws_iam_policy_document.work.json
  kms_key_arn        = var.kms_key_arn
  log_retention_days = var.log_retention_days

  services = {
    webserver = "dagster-webserver --host 127.0.0.1 --port 3000 --module-name retail_platform.definitions"
    daemon    = "dagster-daemon run --module-name retail_platform.definitions"
  }
}

output "settings" {
  description = "What the platform has to be told, by the name of its variable."
  value       = local.settings
}

output "streaming" {
  description = "Where events go and recommendations come from: the stream, the function URL and the policy of who sends events."
  value       = module.streaming
}

output "alarm_topic_arn" {
  description = "The SNS topic of alarms."
  value       = module.foundation.alarm_topic_arn
}

output "network" {
  description = "The network: its id, its subnets by kind, each with its zone, its security groups by whom they are for, and the route tables of its application subnets, for a way to an existing source."
  value       = module.network.network
}

output "orchestrator" {
  description = "Dagster's machine: its Auto Scaling group and its log."
  value = {
    group_name     = module.orchestrator.group_name
    log_group_name = module.orchestrator.log_group_name
  }
}

output "site_url" {
  description = "Where the load balancer of the web tier is; null without one."
  value       = one(module.web[*].url)
}

output "dashboard_name" {
  description = "The dashboard in CloudWatch."
  value       = module.monitoring.dashboard_name
}

output "group_name" {
  description = "The Auto Scaling group of the one machine."
  value       = module.machines.group_name
}

output "log_group_name" {
  description = "The log of webserver and daemon."
  value       = module.machines.log_group_name
}

output "user_data" {
  description = "What the machine does when it starts."
  value       = module.machines.user_data
}

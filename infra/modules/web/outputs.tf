output "url" {
  description = "Where the load balancer is; let your site's name point to it."
  value       = "https://${aws_lb.web.dns_name}"
}

output "load_balancer" {
  description = "The load balancer and its target group, as CloudWatch calls them."
  value = {
    load_balancer = aws_lb.web.arn_suffix
    target_group  = aws_lb_target_group.web.arn_suffix
  }
}

output "log_group_name" {
  description = "The log of the machines."
  value       = module.machines.log_group_name
}

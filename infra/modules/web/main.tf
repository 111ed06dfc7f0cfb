locals {
  name = "${var.name}-web"
  port = 8080

  # Rules that AWS keeps: addresses of ill fame, and the usual attacks; known bad input stands below by itself.
  managed_rules = ["AWSManagedRulesAmazonIpReputationList", "AWSManagedRulesCommonRuleSet"]
}

module "machines" {
  source = "../machines"

  name               = local.name
  instance_type      = var.instance_type
  image_id           = var.image_id
  size               = var.size
  subnet_ids         = var.network.app_subnet_ids
  security_group_id  = var.network.web_security_group_id
  target_group_arns  = var.stand_in ? [] : [aws_lb_target_group.web.arn]
  bundle             = var.bundle
  environment        = merge(var.settings, { RETAIL_SIGN_IN = tostring(var.sign_in != null) })
  secrets            = var.orders_secret_arn == null ? {} : { RETAIL_STOREFRONT_URL = var.orders_secret_arn }
  services           = { web = "retail web --host 0.0.0.0 --port ${local.port}" }
  policy_json        = data.aws_iam_policy_document.work.json
  kms_key_arn        = var.kms_key_arn
  log_retention_days = var.log_retention_days
}

# As many machines as the requests ask for.
resource "aws_autoscaling_policy" "requests" {
  # AWS takes it only once the load balancer sends requests there.
  depends_on = [aws_lb_listener.https]

  name                   = "${local.name}-requests"
  autoscaling_group_name = module.machines.group_name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.requests_per_minute

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.web.arn_suffix}/${aws_lb_target_group.web.arn_suffix}"
    }
  }
}

# The load balancer

resource "aws_lb" "web" {
  name                       = local.name
  load_balancer_type         = "application"
  internal                   = false
  security_groups            = [var.network.alb_security_group_id]
  subnets                    = var.network.public_subnet_ids
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protected
  idle_timeout               = 60

  access_logs {
    bucket  = var.log_bucket.name
    prefix  = "alb"
    enabled = true
  }
}

resource "aws_lb_target_group" "web" {
  name                 = local.name
  port                 = local.port
  protocol             = "HTTP"
  vpc_id               = var.network.vpc_id
  deregistration_delay = 30

  # Not "is it up" but "can it answer": what it needs is asked too.
  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.web.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  # Whoever asks for more than the storefront says who he is first.
  dynamic "default_action" {
    for_each = var.sign_in == null ? [] : [var.sign_in]

    content {
      type  = "authenticate-oidc"
      order = 1

      authenticate_oidc {
        issuer                     = default_action.value.issuer
        authorization_endpoint     = default_action.value.authorization_endpoint
        token_endpoint             = default_action.value.token_endpoint
        user_info_endpoint         = default_action.value.user_info_endpoint
        client_id                  = default_action.value.client_id
        client_secret              = data.aws_secretsmanager_secret_version.client["oidc"].secret_string
        on_unauthenticated_request = "authenticate"
        session_timeout            = 28800
      }
    }
  }

  default_action {
    type             = "forward"
    order            = var.sign_in == null ? 1 : 2
    target_group_arn = aws_lb_target_group.web.arn
  }
}

data "aws_secretsmanager_secret_version" "client" {
  for_each = var.sign_in == null ? {} : { oidc = var.sign_in.client_secret_arn }

  secret_id = each.value
}

resource "aws_lb_listener_rule" "storefront" {
  count = var.sign_in == null ? 0 : 1

  listener_arn = aws_lb_listener.https.arn
  priority     = 10

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }

  condition {
    path_pattern {
      values = ["/", "/shop", "/shop/*", "/static/*"]
    }
  }
}

# The load balancer asks the provider who somebody is.
resource "aws_vpc_security_group_egress_rule" "sign_in" {
  count = var.sign_in == null ? 0 : 1

  security_group_id = var.network.alb_security_group_id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "The OpenID provider"
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.web.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# The firewall

resource "aws_wafv2_web_acl" "web" {
  name        = local.name
  description = "What does not get as far as the load balancer"
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  dynamic "rule" {
    for_each = { for number, name in local.managed_rules : name => number }

    content {
      name     = rule.key
      priority = rule.value

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          name        = rule.key
          vendor_name = "AWS"
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = true
      }
    }
  }

  rule {
    name     = "AWSManagedRulesKnownBadInputsRuleSet"
    priority = 2

    override_action {
      none {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesKnownBadInputsRuleSet"
        vendor_name = "AWS"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "AWSManagedRulesKnownBadInputsRuleSet"
      sampled_requests_enabled   = true
    }
  }

  # Counted and not refused: customers come by VPN too.
  rule {
    name     = "AWSManagedRulesAnonymousIpList"
    priority = 3

    override_action {
      count {}
    }

    statement {
      managed_rule_group_statement {
        name        = "AWSManagedRulesAnonymousIpList"
        vendor_name = "AWS"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "AWSManagedRulesAnonymousIpList"
      sampled_requests_enabled   = true
    }
  }

  rule {
    name     = "TooManyOfOneAddress"
    priority = 4

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit              = 2000 # in five minutes
        aggregate_key_type = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "TooManyOfOneAddress"
      sampled_requests_enabled   = true
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "web" {
  resource_arn = aws_lb.web.arn
  web_acl_arn  = aws_wafv2_web_acl.web.arn
}

# CloudWatch takes a firewall's log only under a name that begins so.
resource "aws_cloudwatch_log_group" "firewall" {
  name              = "aws-waf-logs-${local.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_wafv2_web_acl_logging_configuration" "web" {
  count = var.stand_in ? 0 : 1

  resource_arn            = aws_wafv2_web_acl.web.arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall.arn]

  # What is let through is in the load balancer's log, and costs less there.
  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }

  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "cookie"
    }
  }
}

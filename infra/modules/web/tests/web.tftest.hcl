mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name                  = "retail-prod"
  certificate_arn       = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  image_id              = null
  bundle                = { bucket = "a-artifacts", bucket_arn = "arn:aws:s3:::a-artifacts", key = "app/1/retail-platform-0.1.0-arm64.zip" }
  settings              = { AWS_DEFAULT_REGION = "eu-central-1" }
  stream_arn            = "arn:aws:kinesis:eu-central-1:123456789012:stream/events"
  recommender_alias_arn = "arn:aws:lambda:eu-central-1:123456789012:function:http:live"
  log_bucket            = { name = "a-logs" }
  reading_policy_json   = "{}"
  protected             = true
  kms_key_arn           = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days    = 90
  network = {
    vpc_id                = "vpc-1"
    public_subnet_ids     = ["subnet-1", "subnet-2"]
    app_subnet_ids        = ["subnet-3", "subnet-4"]
    alb_security_group_id = "sg-1"
    web_security_group_id = "sg-2"
  }
}

# One run, and one for all that is refused: the schema of the firewall's rules makes each take seconds.
run "it_keeps_its_promises" {
  command = apply

  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && aws_lb_listener.https.certificate_arn == var.certificate_arn
    error_message = "TLS 1.2 at least, by the site's certificate"
  }
  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.http.default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "HTTP answers with nothing but the way to HTTPS"
  }
  assert {
    condition     = aws_lb.web.enable_deletion_protection && aws_lb.web.drop_invalid_header_fields && aws_lb.web.access_logs[0].enabled
    error_message = "it is kept, refuses what is malformed, and logs who came"
  }
  assert {
    condition     = aws_wafv2_web_acl_association.web.resource_arn == aws_lb.web.arn && length(aws_wafv2_web_acl.web.rule) == 5
    error_message = "four sets of managed rules and a limit for each address"
  }
  assert {
    condition     = aws_autoscaling_policy.requests.target_tracking_configuration[0].predefined_metric_specification[0].predefined_metric_type == "ALBRequestCountPerTarget" && aws_autoscaling_policy.requests.target_tracking_configuration[0].predefined_metric_specification[0].resource_label == "app/web/1/targetgroup/web/1"
    error_message = "requests for each machine decide"
  }
  assert {
    condition     = length(aws_lb_listener_rule.storefront) == 0 && length(aws_vpc_security_group_egress_rule.sign_in) == 0
    error_message = "without a provider nobody is asked, and the application shows nothing but the storefront"
  }
  assert {
    condition     = aws_lb_target_group.web.health_check[0].path == "/readyz"
    error_message = "a machine that cannot do its work must get none"
  }
}

run "people_sign_in_for_all_but_the_storefront" {
  command = apply

  variables {
    sign_in = {
      issuer                 = "https://id.example.com"
      authorization_endpoint = "https://id.example.com/authorize"
      token_endpoint         = "https://id.example.com/token"
      user_info_endpoint     = "https://id.example.com/userinfo"
      client_id              = "retail"
      client_secret_arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:oidc-abc"
    }
    orders_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-abc"
  }

  assert {
    condition     = [for action in aws_lb_listener.https.default_action : action.type] == ["authenticate-oidc", "forward"]
    error_message = "who they are comes first"
  }
  assert {
    condition     = one(one(aws_lb_listener_rule.storefront[0].condition).path_pattern).values == toset(["/", "/shop", "/shop/*", "/static/*"]) && aws_lb_listener_rule.storefront[0].action[0].type == "forward"
    error_message = "the storefront is for everybody, and nothing else is"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.sign_in[0].from_port == 443 && aws_vpc_security_group_egress_rule.sign_in[0].to_port == 443
    error_message = "the load balancer has to reach the provider"
  }
}

run "what_cannot_be_is_refused" {
  command = plan
  expect_failures = [
    var.certificate_arn,
    var.size,
    var.requests_per_minute,
    var.network,
    var.sign_in,
    var.orders_secret_arn,
  ]

  variables {
    certificate_arn     = ""
    size                = { min = 1, max = 2 }
    requests_per_minute = 0
    orders_secret_arn   = "mysql://shop:secret@db.example.com/classicmodels"
    sign_in = {
      issuer                 = "http://id.example.com"
      authorization_endpoint = "https://id.example.com/authorize"
      token_endpoint         = "https://id.example.com/token"
      user_info_endpoint     = "https://id.example.com/userinfo"
      client_id              = "retail"
      client_secret_arn      = "a secret"
    }
    network = {
      vpc_id                = "vpc-1"
      public_subnet_ids     = ["subnet-1"]
      app_subnet_ids        = ["subnet-3"]
      alb_security_group_id = "sg-1"
      web_security_group_id = "sg-2"
    }
  }
}

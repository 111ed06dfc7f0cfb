mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod-web"
  instance_type      = "t4g.small"
  size               = { min = 2, max = 6 }
  subnet_ids         = ["subnet-1", "subnet-2"]
  security_group_id  = "sg-1"
  target_group_arns  = ["arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/web/1"]
  bundle             = { bucket = "a-artifacts", bucket_arn = "arn:aws:s3:::a-artifacts", key = "app/1/retail-platform-0.1.0-arm64.zip" }
  environment        = { AWS_DEFAULT_REGION = "eu-central-1" }
  services           = { web = "retail status" }
  policy_json        = "{}"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days = 90
}

run "they_are_private_encrypted_and_reached_without_ssh" {
  command = plan

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "a machine's credentials are for itself alone"
  }
  assert {
    condition     = aws_launch_template.this.network_interfaces[0].associate_public_ip_address == "false" && aws_launch_template.this.key_name == null
    error_message = "nobody gets in but by Session Manager"
  }
  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "disks have to be encrypted"
  }
  assert {
    condition     = aws_launch_template.this.image_id == "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    error_message = "a machine starts from the newest Amazon Linux"
  }
}

run "what_does_not_answer_is_made_anew_and_versions_change_without_a_gap" {
  command = plan

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && length(aws_autoscaling_group.this.vpc_zone_identifier) == 2
    error_message = "the load balancer's check counts, in two zones"
  }
  assert {
    condition     = aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 100
    error_message = "while a version changes, all have to be there"
  }
}

run "one_machine_goes_before_the_next_comes" {
  command = plan

  variables {
    size              = { min = 1, max = 1 }
    target_group_arns = []
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "EC2" && aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 0
    error_message = "two daemons of Dagster would not agree"
  }
}

run "they_install_one_bundle_and_run_its_services" {
  command = plan

  variables {
    prepare = "retail prepare --admin-secret arn"
  }

  assert {
    condition     = strcontains(output.user_data, "s3://a-artifacts/app/1/retail-platform-0.1.0-arm64.zip") && strcontains(output.user_data, "ExecStart=/opt/retail/venv/bin/retail status") && strcontains(output.user_data, "systemctl enable --now retail-web.service")
    error_message = "the bundle has to be installed and started"
  }
  assert {
    condition     = strcontains(output.user_data, "AWS_DEFAULT_REGION=\"eu-central-1\"") && strcontains(output.user_data, "/opt/retail/venv/bin/retail prepare --admin-secret arn && break")
    error_message = "it has to be told its settings, and be prepared"
  }
}

run "they_may_read_one_object_of_code" {
  command = apply

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.this.statement : !contains(statement.resources, "*") && alltrue([for action in statement.actions : !strcontains(action, "*")])
    ])
    error_message = "an action or a resource is all there are"
  }
  assert {
    condition     = anytrue([for condition in data.aws_iam_policy_document.trust.statement[0].condition : condition.variable == "aws:SourceAccount"])
    error_message = "another account could take the role"
  }
}

run "another_processor_is_refused" {
  command         = plan
  expect_failures = [var.instance_type]

  variables {
    instance_type = "t3.small"
  }
}

run "fewer_than_one_is_refused" {
  command         = plan
  expect_failures = [var.size]

  variables {
    size = { min = 0, max = 1 }
  }
}

run "a_setting_that_systemd_would_read_is_refused" {
  command         = plan
  expect_failures = [var.environment]

  variables {
    environment = { RETAIL_HOME = "$HOME" }
  }
}

run "a_secret_is_named_and_never_written_down" {
  command = plan

  variables {
    secrets = { RETAIL_STOREFRONT_URL = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-abc" }
  }

  assert {
    condition     = strcontains(output.user_data, "aws secretsmanager get-secret-value --secret-id 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:orders-abc'") && strcontains(output.user_data, "install --mode=600 /dev/null /etc/retail.env")
    error_message = "a machine reads it when it starts, into a file of root's"
  }
}

locals {
  user_data = templatefile("${path.module}/user_data.sh.tftpl", {
    name        = var.name
    bundle      = var.bundle
    log_group   = aws_cloudwatch_log_group.this.name
    environment = var.environment
    secrets     = var.secrets
    prepare     = var.prepare
    services    = var.services
  })
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/retail/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_launch_template" "this" {
  name                   = var.name
  description            = "Amazon Linux 2023 with ${basename(var.bundle.key)}"
  image_id               = var.image_id
  instance_type          = var.instance_type
  user_data              = base64encode(local.user_data)
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = [var.security_group_id]
  }

  # Whoever makes a machine ask for an address inside it does not get its credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 30
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = { Name = var.name }
    }
  }
}

# One that breaks is made anew, in another zone if need be; another version takes the place of the one before.
resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.size.min
  max_size                  = var.size.max
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = var.target_group_arns
  health_check_type         = length(var.target_group_arns) > 0 ? "ELB" : "EC2"
  health_check_grace_period = 300
  default_instance_warmup   = 180
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      # With one machine there is none to go on meanwhile.
      min_healthy_percentage = var.size.min > 1 ? 100 : 0
      max_healthy_percentage = var.size.min > 1 ? 200 : 100
      # AWS refuses to roll back to an image that a parameter names; machines that do not get well are not
      # put behind the load balancer, and those of before stay.
      auto_rollback = false
    }
  }

  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = true
  }

  # What a machine does first, it may.
  depends_on = [aws_iam_role_policy.this]
}

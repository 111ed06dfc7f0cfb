mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "retail-prod"
  cidr               = "10.20.0.0/16"
  zone_count         = 3
  egress             = "endpoints"
  source_port        = 3306
  nat_in_every_zone  = true
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/1"
  log_retention_days = 90
}

run "each_zone_has_a_subnet_of_each_kind" {
  command = plan

  assert {
    condition     = length(aws_subnet.this) == 9 && length(distinct([for subnet in aws_subnet.this : subnet.cidr_block])) == 9
    error_message = "three kinds in three zones are nine subnets, each with addresses of its own"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.this : !subnet.map_public_ip_on_launch])
    error_message = "nobody gets a public address by being started"
  }
  assert {
    condition     = toset([for key, subnet in aws_subnet.this : subnet.availability_zone if subnet.tags.kind == "data"]) == toset(["eu-central-1a", "eu-central-1b", "eu-central-1c"])
    error_message = "databases have to be able to move to another zone"
  }
}

run "with_endpoints_nothing_private_reaches_the_internet" {
  command = plan

  assert {
    condition     = length(aws_route.nat) == 0 && length(aws_nat_gateway.this) == 0
    error_message = "there is a way out by NAT"
  }
  assert {
    condition     = contains(keys(aws_vpc_endpoint.interface), "kinesis-streams") && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "what is asked has to have an endpoint under its own name"
  }
}

run "nat_goes_out_of_every_zone_by_its_own_gateway" {
  command = apply

  variables {
    egress = "nat"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route.nat) == 3 && length(aws_vpc_endpoint.interface) == 0
    error_message = "each zone has to have a gateway, and no endpoint is paid for beside it"
  }
  assert {
    condition     = alltrue([for key, route in aws_route.nat : route.nat_gateway_id == aws_nat_gateway.this[key].id])
    error_message = "a zone may not go out by another"
  }
  assert {
    condition     = alltrue([for route in aws_route.nat : route.route_table_id != aws_route_table.data.id])
    error_message = "databases never reach the internet"
  }
}

run "one_gateway_is_cheaper" {
  command = apply

  variables {
    egress            = "nat"
    nat_in_every_zone = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "one gateway serves all zones"
  }
}

run "without_a_way_out_s3_is_still_there" {
  command = apply

  variables {
    egress = "none"
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_nat_gateway.this) == 0 && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 costs nothing by its gateway"
  }
}

run "who_may_ask_whom_is_a_chain_by_id" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.chain : rule.cidr_ipv4 == null])
    error_message = "inside the network nobody is known by his address"
  }
  assert {
    condition = toset([for key, chain in local.chains : chain.from if chain.to == "vector_db"]) == toset(["lambda", "orchestrator"]) && toset([
      for key, chain in local.chains : chain.from if chain.to == "source_db"
    ]) == toset(["glue", "orchestrator"])
    error_message = "databases are asked by those who need them"
  }
  assert {
    condition     = length([for key, chain in local.chains : key if contains(["orchestrator", "lambda", "glue"], chain.to) && chain.to != chain.from]) == 0
    error_message = "nobody opens connections to these"
  }
}

run "who_asks_aws_reaches_s3_by_its_own_way" {
  command = plan

  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.s3)) == toset(["glue", "lambda", "orchestrator", "web"])
    error_message = "they could not read their own code"
  }
}

run "what_is_rejected_is_logged" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "REJECT" && aws_cloudwatch_log_group.flow.retention_in_days == 90 && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn
    error_message = "the flow log has to be encrypted and kept as long as logs are"
  }
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.flow_trust.statement : anytrue([for condition in statement.condition : condition.variable == "aws:SourceAccount"])
    ])
    error_message = "another account could have its logs written by this role"
  }
}

run "a_tiny_network_is_refused" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.0/24"
  }
}

run "public_addresses_are_refused" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "8.8.0.0/16"
  }
}

run "an_address_within_a_block_is_refused" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "10.20.0.1/16"
  }
}

run "a_network_that_overlaps_the_sources_is_refused" {
  command         = plan
  expect_failures = [var.source_cidrs]

  variables {
    source_cidrs = ["10.30.0.0/16", "10.20.128.0/20"]
  }
}

run "a_network_that_lies_in_the_sources_is_refused" {
  command         = plan
  expect_failures = [var.source_cidrs]

  variables {
    source_cidrs = ["10.0.0.0/8"]
  }
}

run "a_source_beside_the_network_is_reached" {
  command = plan

  variables {
    source_cidrs = ["10.21.0.0/16", "192.168.0.0/24"]
    source_port  = 5432
  }

  assert {
    condition = toset(keys(aws_vpc_security_group_egress_rule.source)) == toset([
      "glue 10.21.0.0/16", "glue 192.168.0.0/24", "orchestrator 10.21.0.0/16", "orchestrator 192.168.0.0/24",
    ]) && alltrue([for rule in aws_vpc_security_group_egress_rule.source : rule.from_port == 5432 && rule.to_port == 5432])
    error_message = "the job and Dagster have to reach the source, on its port and no other"
  }
}

run "more_zones_than_there_are_are_refused" {
  command         = plan
  expect_failures = [data.aws_availability_zones.available]

  variables {
    zone_count = 4
  }
}

run "another_way_out_is_refused" {
  command         = plan
  expect_failures = [var.egress]

  variables {
    egress = "internet"
  }
}

run "a_retention_that_no_log_has_is_refused" {
  command         = plan
  expect_failures = [var.log_retention_days]

  variables {
    log_retention_days = 10
  }
}

run "a_source_with_a_public_address_is_refused" {
  command         = plan
  expect_failures = [var.source_cidrs]

  variables {
    source_cidrs = ["203.0.113.7/32"]
  }
}

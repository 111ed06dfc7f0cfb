data "aws_availability_zones" "available" {
  state = "available"

  # The region's own, and no Local Zone, which has neither Glue nor RDS.
  filter {
    name   = "zone-name"
    values = [for letter in ["a", "b", "c", "d", "e", "f"] : "${data.aws_region.current.name}${letter}"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.names) >= var.zone_count
      error_message = "This region has fewer zones than zone_count says: lower zone_count, or choose another region."
    }
  }
}

data "aws_region" "current" {}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, var.zone_count)

  # Sixteen blocks: four of each kind, so that a zone more moves no other subnet.
  kinds = { public = 0, app = 4, data = 8 }
  subnets = merge([
    for kind, first in local.kinds : {
      for number, zone in local.zones : "${kind}-${number}" => {
        kind = kind
        zone = zone
        cidr = cidrsubnet(var.cidr, 4, first + number)
      }
    }
  ]...)

  nat_zones = var.egress == "nat" ? (var.nat_in_every_zone ? range(var.zone_count) : [0]) : []

  # What runs in private subnets asks these, and nothing else outside its network.
  endpoint_services = var.egress == "endpoints" ? toset([
    "athena", "ec2messages", "events", "glue", "kinesis-firehose", "kinesis-streams", "kms", "lambda", "logs",
    "monitoring", "secretsmanager", "sns", "sqs", "ssm", "ssmmessages", "sts",
  ]) : toset([])
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Nothing is allowed by what nobody has chosen.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-closed" }
}

resource "aws_subnet" "this" {
  for_each = local.subnets

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.value.zone
  cidr_block              = each.value.cidr
  map_public_ip_on_launch = false

  tags = { Name = "${var.name}-${each.key}", kind = each.value.kind }
}

# Ways out

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }

  tags = { Name = "${var.name}-public" }
}

resource "aws_eip" "nat" {
  for_each = { for number in local.nat_zones : tostring(number) => number }

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = aws_eip.nat

  allocation_id = each.value.allocation_id
  subnet_id     = aws_subnet.this["public-${each.key}"].id

  tags = { Name = "${var.name}-${each.key}" }

  # A NAT gateway that is made before the way out fails.
  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "app" {
  count = var.zone_count

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-app-${count.index}" }
}

resource "aws_route" "nat" {
  for_each = var.egress == "nat" ? { for number in range(var.zone_count) : tostring(number) => number } : {}

  route_table_id         = aws_route_table.app[each.value].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat_in_every_zone ? each.key : "0"].id
}

# Databases have no way out at all.
resource "aws_route_table" "data" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-data" }
}

resource "aws_route_table_association" "this" {
  for_each = local.subnets

  subnet_id = aws_subnet.this[each.key].id
  route_table_id = {
    public = aws_route_table.public.id
    app    = aws_route_table.app[index(local.zones, each.value.zone)].id
    data   = aws_route_table.data.id
  }[each.value.kind]
}

# S3 costs nothing by this way, and does not go by NAT.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.app[*].id

  tags = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoint_services

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${data.aws_region.current.name}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for key, subnet in local.subnets : aws_subnet.this[key].id if subnet.kind == "app"]
  security_group_ids  = [aws_security_group.this["endpoints"].id]

  tags = { Name = "${var.name}-${each.value}" }
}

# What happens in it

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/retail/${var.name}/flow"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow.arn
  iam_role_arn    = aws_iam_role.flow.arn

  tags = { Name = var.name }
}

locals {
  # By whom each is for.
  groups = {
    alb          = "The load balancer: HTTPS from everywhere"
    web          = "The web tier: the load balancer alone"
    orchestrator = "Dagster: nobody, it is reached by Session Manager"
    lambda       = "The inference Lambda: nobody asks it in the network"
    glue         = "Glue: its own workers alone"
    source_db    = "The source database: Glue and Dagster, and the web tier where it takes orders"
    vector_db    = "The vector store: the Lambda and Dagster"
    endpoints    = "Endpoints of AWS: who is in the network"
  }

  # Who may open a connection to whom, and on which port: both sides get the rule, by the other's id.
  # Spark's workers talk to each other on any port; Glue asks for that rule.
  chains = {
    web_from_alb                = { from = "alb", to = "web", port = 8080 }
    source_db_from_glue         = { from = "glue", to = "source_db", port = var.source_port }
    source_db_from_orchestrator = { from = "orchestrator", to = "source_db", port = var.source_port }
    vector_db_from_lambda       = { from = "lambda", to = "vector_db", port = 5432 }
    vector_db_from_orchestrator = { from = "orchestrator", to = "vector_db", port = 5432 }
    endpoints_from_web          = { from = "web", to = "endpoints", port = 443 }
    endpoints_from_orchestrator = { from = "orchestrator", to = "endpoints", port = 443 }
    endpoints_from_lambda       = { from = "lambda", to = "endpoints", port = 443 }
    endpoints_from_glue         = { from = "glue", to = "endpoints", port = 443 }
    glue_workers                = { from = "glue", to = "glue", port = 0, last = 65535 }
  }

  # Who asks AWS: S3 by its prefix list and, where there is NAT, all else by its public addresses.
  askers = toset(["web", "orchestrator", "lambda", "glue"])
}

resource "aws_security_group" "this" {
  for_each = local.groups

  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "chain" {
  for_each = local.chains

  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = lookup(each.value, "last", each.value.port)
  description                  = each.key
}

resource "aws_vpc_security_group_egress_rule" "chain" {
  for_each = local.chains

  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = lookup(each.value, "last", each.value.port)
  description                  = each.key
}

# The storefront's orders, where it takes any.
resource "aws_vpc_security_group_ingress_rule" "orders" {
  count = var.web_takes_orders ? 1 : 0

  security_group_id            = aws_security_group.this["source_db"].id
  referenced_security_group_id = aws_security_group.this["web"].id
  ip_protocol                  = "tcp"
  from_port                    = var.source_port
  to_port                      = var.source_port
  description                  = "source_db_from_web"
}

resource "aws_vpc_security_group_egress_rule" "orders" {
  count = var.web_takes_orders ? 1 : 0

  security_group_id            = aws_security_group.this["web"].id
  referenced_security_group_id = aws_security_group.this["source_db"].id
  ip_protocol                  = "tcp"
  from_port                    = var.source_port
  to_port                      = var.source_port
  description                  = "source_db_from_web"
}

# Everybody, by HTTPS; HTTP answers with nothing but the way there.
resource "aws_vpc_security_group_ingress_rule" "everybody" {
  for_each = { https = 443, http = 80 }

  security_group_id = aws_security_group.this["alb"].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  description       = each.key
}

resource "aws_vpc_security_group_egress_rule" "source" {
  for_each = merge([
    for who in concat(["glue", "orchestrator"], var.web_takes_orders ? ["web"] : []) : { for cidr in var.source_cidrs : "${who} ${cidr}" => { who = who, cidr = cidr } }
  ]...)

  security_group_id = aws_security_group.this[each.value.who].id
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = var.source_port
  to_port           = var.source_port
  description       = "An existing source"
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = var.has_prefix_lists ? local.askers : toset([])

  security_group_id = aws_security_group.this[each.key].id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "S3"
}

resource "aws_vpc_security_group_egress_rule" "nat" {
  for_each = var.egress == "nat" ? local.askers : toset([])

  security_group_id = aws_security_group.this[each.key].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  description       = "AWS by NAT"
}

output "network" {
  description = "The network: its id, its subnets by kind, each with its zone and kind, its security groups by whom they are for, and the route tables of its application subnets, for a way to an existing source."
  value = {
    vpc_id = aws_vpc.this.id
    subnets = {
      for kind in keys(local.kinds) : kind => [
        for key, subnet in local.subnets : { id = aws_subnet.this[key].id, zone = subnet.zone, kind = kind } if subnet.kind == kind
      ]
    }
    app_route_table_ids = aws_route_table.app[*].id
    security_group_ids  = { for key, group in aws_security_group.this : key => group.id }
  }
}

Three hops: networks that two distributed routers tie together by routes of their own.

host h1
host h2
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create network mid
create subnet mid4 network_id=mid cidr=10.9.0.0/24
create network blue
create subnet blue4 network_id=blue cidr=10.2.0.0/24
create router r1 distributed=true
do add_router_interface r1 subnet_id=red4
create router r2 distributed=true
do add_router_interface r2 subnet_id=blue4
create port leg1 network_id=mid fixed_ips=[{ip_address: 10.9.0.11}]
create port leg2 network_id=mid fixed_ips=[{ip_address: 10.9.0.12}]
do add_router_interface r1 port_id=leg1
do add_router_interface r2 port_id=leg2
update r1 routes=[{destination: 10.2.0.0/24, nexthop: 10.9.0.12}]
update r2 routes=[{destination: 10.1.0.0/24, nexthop: 10.9.0.11}]
create port a network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.5}]
when a sends ping to b via r1
then arrives at b
then b sees nw_ttl=62
when b answers back via r2
then arrives at a

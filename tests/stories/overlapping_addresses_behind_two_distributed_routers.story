Two routers may route the same addresses, and neither hears of the other's.

host h1
host h2
create network red1
create subnet red1s network_id=red1 cidr=10.1.0.0/24
create network blue1
create subnet blue1s network_id=blue1 cidr=10.2.0.0/24
create network red2
create subnet red2s network_id=red2 cidr=10.1.0.0/24
create network blue2
create subnet blue2s network_id=blue2 cidr=10.2.0.0/24
create router r1 distributed=true
do add_router_interface r1 subnet_id=red1s
do add_router_interface r1 subnet_id=blue1s
create router r2 distributed=true
do add_router_interface r2 subnet_id=red2s
do add_router_interface r2 subnet_id=blue2s
create port a1 network_id=red1 binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port a2 network_id=red2 binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b1 network_id=blue1 binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.5}]
create port b2 network_id=blue2 binding:host_id=h1 fixed_ips=[{ip_address: 10.2.0.5}]
when a1 sends ping to b1 via r1
then arrives at b1
when b1 answers back via r1
then arrives at a1
when a2 sends ping to b2 via r2
then arrives at b2
when b2 answers back via r2
then arrives at a2

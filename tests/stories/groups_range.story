A range of ports lets in its first, its last and what is between, and neither neighbour.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group web
create security_group_rule some security_group_id=web direction=ingress protocol=udp port_range_min=1000 port_range_max=2100
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends udp 999 to b
then dropped in ingress-rules
when a sends udp 1000 to b
then arrives at b
when a sends udp 1023 to b
then arrives at b
when a sends udp 1024 to b
then arrives at b
when a sends udp 2047 to b
then arrives at b
when a sends udp 2048 to b
then arrives at b
when a sends udp 2100 to b
then arrives at b
when a sends udp 2101 to b
then dropped in ingress-rules

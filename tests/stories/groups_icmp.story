A rule may name ICMP types and codes; errors about a connection pass with it.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group pings
create security_group_rule echo security_group_id=pings direction=ingress protocol=icmp port_range_min=8 port_range_max=0
create security_group_rule www security_group_id=pings direction=ingress protocol=tcp port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[pings]
when a sends ping to b
then arrives at b
when b answers
then arrives at a
when a sends icmp 13 to b
then dropped in ingress-rules
when a sends tcp 80 to b
then arrives at b
when b refuses
then arrives at a
# An error about nothing that passed.
when a sends tcp 81 to b
then dropped in ingress-rules
when b sends icmp 3 1 to a
then dropped in egress-rules

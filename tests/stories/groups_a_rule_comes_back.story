A connection that was cut lives again when the rule does.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group web
create security_group_rule www security_group_id=web direction=ingress protocol=tcp port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
delete www
when a sends more
then dropped in ingress-rules
create security_group_rule again security_group_id=web direction=ingress protocol=tcp port_range_min=80 port_range_max=80
when b answers
then dropped in egress-rules
when a sends more
then arrives at b
when b answers
then arrives at a

A member leaves a group: its connections to those who let it in as a member end, in both directions.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress protocol=tcp remote_group_id=clients
create security_group all
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[clients]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
when a sends more
then arrives at b
update a security_groups=[all]
when a sends more
then dropped in ingress-rules
when b answers
then dropped in egress-rules

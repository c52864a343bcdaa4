An answer to what nobody asked is no connection, and is dropped.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group web
create security_group_rule any security_group_id=web direction=ingress
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[web]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
update a security_groups=[]
when a sends tcp 80 to b
then dropped in egress-rules
update a security_groups=[web]
when b answers
then dropped in egress-rules
update b port_security_enabled=false security_groups=[]
when b answers
then dropped in ingress-rules
when b sends tcp 80 to a
then arrives at a

What a port may send is withdrawn while it does: it is cut off, and answers to it with it.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group shy
find security_group_rule all security_group_id=shy ethertype=IPv4 direction=egress
create port a network_id=blue binding:host_id=h1 security_groups=[shy]
create port b network_id=blue binding:host_id=h2 port_security_enabled=false
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
delete all
when a sends more
then dropped in egress-rules
when b answers
then dropped in ingress-rules

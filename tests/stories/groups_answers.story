An answer passes with its connection, though no rule lets it in; the same packet without one does not.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group quiet
create security_group_rule out security_group_id=quiet direction=egress protocol=tcp
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[quiet]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
create security_group_rule in security_group_id=quiet direction=egress protocol=udp
update b security_groups=[quiet]
when b sends tcp 80 to a
then dropped in ingress-rules
update b port_security_enabled=false security_groups=[]
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
when a sends more
then arrives at b
when b sends tcp 40000 from 80 to a
then arrives at a
when b sends tcp 40001 from 80 to a
then dropped in ingress-rules

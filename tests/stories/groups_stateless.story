A stateless group knows no connections: an answer needs a rule of its own.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group free stateful=false
create security_group_rule in security_group_id=free direction=ingress protocol=tcp port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[free]
when a sends tcp 80 to b
then arrives at b
when a sends tcp 81 to b
then dropped in ingress-free
# New groups let everything out.
when b answers
then arrives at a
when b sends tcp 80 to a
then dropped in ingress-rules
update a security_groups=[free]
when b sends tcp 80 to a
then arrives at a
when a answers
then dropped in ingress-free, because no flow lets it pass
create security_group_rule back security_group_id=free direction=ingress protocol=tcp port_range_min=40000 port_range_max=40000
when a answers
then arrives at b

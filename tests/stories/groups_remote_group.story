A rule with a remote group lets its members in: who joins it may, who leaves it may not any more.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress protocol=tcp remote_group_id=clients port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then dropped in ingress-rules, because no flow lets it pass
update a security_groups=[clients]
when a sends tcp 80 to b
then arrives at b
when a sends tcp 81 to b
then dropped in ingress-rules
update a security_groups=[]
when a sends tcp 80 to b
then dropped in egress-rules

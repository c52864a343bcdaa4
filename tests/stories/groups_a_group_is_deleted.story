A group that rules name is deleted: the rules go with it, and nobody gets in by them.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress protocol=tcp remote_group_id=clients
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
create security_group_rule two security_group_id=web direction=ingress protocol=udp
update a security_groups=[clients]
when a sends tcp 80 to b
then arrives at b
delete clients
then refused SecurityGroupInUse
update a security_groups=[web]
delete clients
when a sends tcp 80 to b
then dropped in ingress-rules
when a sends udp 80 to b
then arrives at b

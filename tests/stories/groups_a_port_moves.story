A port moves to another host: its groups hold there, and who lets it in as a member still does.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
host h3
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress protocol=tcp remote_group_id=clients
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[clients]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
update b binding:host_id=h3
when a sends tcp 80 to b
then arrives at b
when a sends udp 80 to b
then dropped in ingress-rules
update a binding:host_id=h3
when a sends tcp 80 to b
then arrives at b
when b sends tcp 80 to a
then dropped in ingress-rules

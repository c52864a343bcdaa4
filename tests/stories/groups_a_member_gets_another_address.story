The set of a group has the addresses that its ports have now, pairs with them.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress remote_group_id=clients
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[clients]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
update a fixed_ips=[{ip_address: 10.1.0.50}]
when a sends tcp 80 to b
then arrives at b
when a sends ip 10.1.0.99 to b
then dropped in guard
update a allowed_address_pairs=[{ip_address: 10.1.0.96/29}]
when a sends ip 10.1.0.99 to b
then arrives at b
update a allowed_address_pairs=[]
create port c network_id=blue binding:host_id=h1 port_security_enabled=false
when c sends ip 10.1.0.99 to b
then dropped in ingress-rules

An address that two members share is in the set until the last of them has gone.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group clients
create security_group web
create security_group_rule members security_group_id=web direction=ingress remote_group_id=clients
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[clients] allowed_address_pairs=[{ip_address: 10.1.0.100}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
create port c network_id=blue binding:host_id=h2 security_groups=[clients] allowed_address_pairs=[{ip_address: 10.1.0.100}]
delete c
when a sends ip 10.1.0.100 to b
then arrives at b
update a security_groups=[]
create port d network_id=blue binding:host_id=h1 port_security_enabled=false
when d sends ip 10.1.0.100 to b
then dropped in ingress-rules

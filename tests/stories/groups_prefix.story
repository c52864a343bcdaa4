A rule with a prefix lets in who has an address in it.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group web
create security_group_rule near security_group_id=web direction=ingress remote_ip_prefix=10.1.0.4/30
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
create port c network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.8}]
when c sends tcp 80 to b
then dropped in ingress-rules
create security_group_rule far security_group_id=web direction=ingress remote_ip_prefix=10.1.0.8/32
when c sends tcp 80 to b
then arrives at b

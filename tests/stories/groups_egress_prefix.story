What a port may send is looked at by where it goes: to a prefix, to the members of a group, to an address group.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group shy
find security_group_rule all security_group_id=shy ethertype=IPv4 direction=egress
delete all
create security_group_rule near security_group_id=shy direction=egress protocol=tcp remote_ip_prefix=10.1.0.6/32
create port a network_id=blue binding:host_id=h1 security_groups=[shy]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] port_security_enabled=false
create port c network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.7}] port_security_enabled=false
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
when a sends tcp 80 to c
then dropped in egress-rules, because no flow lets it pass
when a sends udp 80 to b
then dropped in egress-rules
create address_group far addresses=[10.1.0.7/32]
create security_group_rule some security_group_id=shy direction=egress remote_address_group_id=far
when a sends tcp 80 to c
then arrives at c
create security_group friends
create security_group_rule in security_group_id=friends direction=ingress
create security_group_rule theirs security_group_id=shy direction=egress protocol=udp remote_group_id=friends
create port d network_id=blue binding:host_id=h2 security_groups=[friends]
when a sends udp 80 to d
then arrives at d
when a sends tcp 80 to d
then dropped in egress-rules

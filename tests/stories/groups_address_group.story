A rule with an address group lets in the prefixes that the group has now.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create address_group near addresses=[10.1.0.5/32, 2001:db8::/120]
create security_group web
create security_group_rule four security_group_id=web direction=ingress protocol=tcp remote_address_group_id=near
create security_group_rule six security_group_id=web direction=ingress protocol=tcp ethertype=IPv6 remote_address_group_id=near
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
when a sends tcp 80 to b over ipv6
then arrives at b
when a sends udp 80 to b
then dropped in ingress-rules
create port c network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.9}]
when c sends tcp 80 to b
then dropped in ingress-rules
do add_addresses near addresses=[10.1.0.8/31]
when c sends tcp 80 to b
then arrives at b
do remove_addresses near addresses=[10.1.0.8/31]
when c sends tcp 80 to b
then dropped in ingress-rules

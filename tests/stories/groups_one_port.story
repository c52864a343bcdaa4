A rule for one port of TCP lets that port in, and no other port, protocol or version of IP.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create security_group web
create security_group_rule www security_group_id=web direction=ingress protocol=tcp port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}] security_groups=[web]
when a sends tcp 80 to b
then arrives at b
when a sends tcp 81 to b
then dropped in ingress-rules
when a sends udp 80 to b
then dropped in ingress-rules
when a sends tcp 80 to b over ipv6
then dropped in ingress-rules
create security_group_rule www6 security_group_id=web direction=ingress protocol=tcp ethertype=IPv6 port_range_min=80 port_range_max=80
when a sends tcp 80 to b over ipv6
then arrives at b
when a sends tcp 79 to b over ipv6
then dropped in ingress-rules

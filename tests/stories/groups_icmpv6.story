ICMP of IPv6 goes by its own numbers; neighbour discovery needs no rule.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create security_group pings
create security_group_rule echo security_group_id=pings direction=ingress protocol=ipv6-icmp ethertype=IPv6 port_range_min=128
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}] security_groups=[pings]
when a sends ping to b over ipv6
then arrives at b
when b answers
then arrives at a
when a sends ping to b
then dropped in ingress-rules
when a sends tcp 80 to b over ipv6
then dropped in ingress-rules
when a sends solicit 2001:db8::99
then arrives at b

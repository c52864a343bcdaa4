Ports of one project may speak to one another: they are in its default group, which lets its own members in.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}]
when a sends tcp 80 to b
then arrives at b
when b answers
then arrives at a
when a sends udp 53 to b over ipv6
then arrives at b
when b sends ping to a
then arrives at a

Instances of one network reach each other, wherever they are, by IPv4 and IPv6.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64 ipv6_ra_mode=slaac ipv6_address_mode=slaac
create port a network_id=blue binding:host_id=h1 mac_address=fa:16:3e:00:00:0a
create port b network_id=blue binding:host_id=h2
create port c network_id=blue binding:host_id=h1
when a sends ip to b
then arrives at b
when b sends ip to a
then arrives at a
when a sends ip 2001:db8::f816:3eff:fe00:a to b
then arrives at b
when a sends ip to c
then arrives at c

A network gets IPv6 after its ports: they get addresses that they may use, and routers are advertised.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 mac_address=fa:16:3e:00:00:0a
create port b network_id=blue binding:host_id=h2 mac_address=fa:16:3e:00:00:0b
when a sends ip 2001:db8::f816:3eff:fe00:a to b
then dropped in guard
when a sends rs
then dropped in guard
create subnet blue6 network_id=blue cidr=2001:db8::/64 ipv6_ra_mode=slaac ipv6_address_mode=slaac
when a sends rs
then told slaac=2001:db8::/64 managed=no
when a sends ip 2001:db8::f816:3eff:fe00:a to b
then arrives at b
when a sends solicit 2001:db8::f816:3eff:fe00:b
then answered

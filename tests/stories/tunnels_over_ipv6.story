Hosts whose tunnel addresses are IPv6 carry networks like any others.

host h1 tunneling_ip=2001:db8:f::1
host h2 tunneling_ip=2001:db8:f::2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
when a sends ip to b
then arrives at b
when b sends broadcast
then arrives at a

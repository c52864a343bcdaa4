A port gets another MAC address while it is on no host: the old one is a stranger's from then on.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 mac_address=fa:16:3e:00:00:0a
create port b network_id=blue binding:host_id=h2
update a mac_address=fa:16:3e:00:00:0c
then refused PortBound
update a binding:host_id=""
update a mac_address=fa:16:3e:00:00:0c
update a binding:host_id=h1
when a sends ip to b
then arrives at b
when a sends as fa:16:3e:00:00:0a to b
then dropped in guard
when b sends ip to a
then arrives at a

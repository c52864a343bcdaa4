A local network leaves no host.

host h1
host h2
create network l provider:network_type=local
create subnet l4 network_id=l cidr=10.1.0.0/24
create port a network_id=l binding:host_id=h1
create port b network_id=l binding:host_id=h1
create port c network_id=l binding:host_id=h2
when a sends broadcast
then arrives at b
when a sends ip to c
then nothing arrives

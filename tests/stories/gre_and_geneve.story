Every kind of tunnel carries its networks, a host may have several, and one that lacks the kind is not bound to.

host h1
host h2
host h3 tunnel_types=[vxlan]
create network g provider:network_type=gre
create network n provider:network_type=geneve
create subnet g4 network_id=g cidr=10.1.0.0/24
create subnet n4 network_id=n cidr=10.1.0.0/24
create port a network_id=g binding:host_id=h1
create port b network_id=g binding:host_id=h2
create port c network_id=n binding:host_id=h1
create port d network_id=n binding:host_id=h2
create port e network_id=g binding:host_id=h3
when a sends broadcast
then arrives at b
when c sends ip to d
then arrives at d
then e has binding:vif_type=binding_failed waits_for="host h3 has no gre tunnels"
host h3 tunnel_types=[vxlan, gre]
then e has binding:vif_type=ovs
when a sends broadcast
then arrives at b, e

Provider networks travel by the physical network, each with its tag.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
create network v provider:network_type=vlan
create network w provider:network_type=vlan provider:physical_network=physnet provider:segmentation_id=142
create network f provider:network_type=flat provider:physical_network=physnet
create subnet v4 network_id=v cidr=10.1.0.0/24
create subnet w4 network_id=w cidr=10.1.0.0/24
create subnet f4 network_id=f cidr=10.1.0.0/24
create port a network_id=v binding:host_id=h1
create port b network_id=v binding:host_id=h2
create port c network_id=w binding:host_id=h2
create port d network_id=f binding:host_id=h1
create port e network_id=f binding:host_id=h2
when a sends ip to b
then arrives at b
when a sends broadcast
then arrives at b
when d sends broadcast
then arrives at e
when d sends ip to e
then arrives at e
when a sends ip to c
then nothing arrives

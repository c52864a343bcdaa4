The VLAN of a provider network is changed: all its hosts change with it.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
create network v provider:network_type=vlan provider:physical_network=physnet provider:segmentation_id=110
create subnet v4 network_id=v cidr=10.1.0.0/24
create port a network_id=v binding:host_id=h1
create port b network_id=v binding:host_id=h2
when a sends broadcast
then arrives at b
update v provider:segmentation_id=111
when a sends broadcast
then arrives at b
create network w provider:network_type=vlan provider:physical_network=physnet provider:segmentation_id=111
then refused VlanIdInUse
create network w provider:network_type=vlan provider:physical_network=physnet provider:segmentation_id=110
create port c network_id=w binding:host_id=h2
when a sends broadcast
then arrives at b

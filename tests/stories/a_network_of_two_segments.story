A network of several segments is carried on the first that a host can carry.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
create network m segments=[
    {provider:network_type: vlan, provider:physical_network: physnet, provider:segmentation_id: 150},
    {provider:network_type: vxlan, provider:segmentation_id: 77}]
create subnet m4 network_id=m cidr=10.1.0.0/24
create port a network_id=m binding:host_id=h1
create port b network_id=m binding:host_id=h2
when a sends ip to b
then arrives at b

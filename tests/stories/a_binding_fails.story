On a host that cannot carry the network a port is not bound, says why, and is bound as soon as the host can.

host h1 bridge_mappings={physnet: br-ex}
host h2
create network v provider:network_type=vlan
create subnet v4 network_id=v cidr=10.1.0.0/24
create port a network_id=v binding:host_id=h1
create port b network_id=v binding:host_id=h2
then b has binding:vif_type=binding_failed status=DOWN
then b has waits_for="host h2 has no bridge for physical network physnet"
plug b at h2
when b sends broadcast
then dropped in classify
when a sends broadcast
then nothing arrives
host h2 bridge_mappings={physnet: br-ex}
then b has binding:vif_type=ovs waits_for="host h2 to acknowledge it"
when a sends broadcast
then arrives at b
hosts acknowledge
then b has status=ACTIVE waits_for=""

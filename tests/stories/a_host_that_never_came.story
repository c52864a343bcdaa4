A port for a host that never came waits for it, and works when it comes.

host h1
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h9
then b has binding:vif_type=binding_failed waits_for="there is no Open vSwitch agent on host h9"
when a sends ip to b
then nothing arrives
host h9
then b has binding:vif_type=ovs
when a sends ip to b
then arrives at b

A host whose agent is silent is bound to no new port; its instances go on, and when it is back the port is bound.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
host h2 is silent
when a sends ip to b
then arrives at b
create port c network_id=blue binding:host_id=h2
then c has binding:vif_type=binding_failed waits_for="the Open vSwitch agent on host h2 is not alive"
host h2
then c has binding:vif_type=ovs
when a sends ip to c
then arrives at c

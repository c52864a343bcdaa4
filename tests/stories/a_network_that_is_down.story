A network that is switched off carries nothing, on no host; switched on it is as before.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
update blue admin_state_up=false
when a sends ip to b
then dropped in classify
update blue admin_state_up=true
when a sends ip to b
then arrives at b

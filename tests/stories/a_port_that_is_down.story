A port that is switched off sends and gets nothing; switched on again it does.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
create port c network_id=blue binding:host_id=h1
unplug c
when b sends ip to a
then arrives at a
update a admin_state_up=false
then a has status=DOWN waits_for="to be switched on: admin_state_up is false"
when a sends ip to b
then dropped in classify, because no flow lets it pass
when b sends ip to a
then nothing arrives
when b sends ip to c
then nothing arrives
update a admin_state_up=true
when b sends ip to a
then arrives at a

A distributed router that is switched off routes nothing, and its interfaces say so.

host h1
host h2
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create network blue
create subnet blue4 network_id=blue cidr=10.2.0.0/24
create router r distributed=true
do add_router_interface r subnet_id=red4
do add_router_interface r subnet_id=blue4
create port a network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.5}]
find port leg device_id=r network_id=red
then leg has status=ACTIVE binding:vif_type=distributed
update r admin_state_up=false
then leg has status=DOWN
when a sends ping to b via r
then nothing arrives
update r admin_state_up=true
then leg has status=ACTIVE
when a sends ping to b via r
then arrives at b

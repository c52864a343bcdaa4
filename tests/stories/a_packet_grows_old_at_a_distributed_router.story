A distributed router says so when a packet has gone on for too long, and does not forward it.

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
when a sends ping to b via r ttl 1
then to agent
when a sends ping to b via r ttl 2
then arrives at b
then b sees nw_ttl=1

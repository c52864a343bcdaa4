An address that an instance may use beside its own is reached through a distributed router.

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
create port vip network_id=blue fixed_ips=[{ip_address: 10.2.0.100}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.5}] allowed_address_pairs=[{ip_address: 10.2.0.100}]
when a sends ping to b via r at 10.2.0.100
then arrives at b
update b allowed_address_pairs=[]
when a sends ping to b via r at 10.2.0.100
then dropped in neighbour

What a distributed router knows no way to goes nowhere.

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
when a sends ping to a via r at 198.51.100.1
then dropped in route, because no flow lets it pass
# Nobody has this address.
when a sends ping to a via r at 10.2.0.77
then dropped in neighbour, because no flow lets it pass

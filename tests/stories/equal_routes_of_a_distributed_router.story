Of equal routes each connection takes one, and the other takes the rest.

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
create port one network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.8}] port_security_enabled=false
create port two network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.2.0.9}] port_security_enabled=false
update r routes=[{destination: 192.168.0.0/16, nexthop: 10.2.0.8}, {destination: 192.168.0.0/16, nexthop: 10.2.0.9}]
when a sends tcp 80 to one via r at 192.168.7.7
then arrives at one
when a sends tcp 80 to one via r at 192.168.7.7
then arrives at one
when a sends tcp 81 to one via r at 192.168.7.7
then arrives at two
# One of them goes, and the other takes all.
update r routes=[{destination: 192.168.0.0/16, nexthop: 10.2.0.9}]
when a sends tcp 80 to one via r at 192.168.7.7
then arrives at two

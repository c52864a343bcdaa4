Another gateway is told with the next lease, and the host answers for the address of the server that gives it.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24 allocation_pools=[{start: 10.1.0.10, end: 10.1.0.99}]
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
when a sends dhcp
then told router=10.1.0.1 server=10.1.0.1
update blue4 gateway_ip=10.1.0.254
when a sends dhcp
then told router=10.1.0.254 server=10.1.0.254
when a sends arp 10.1.0.254
then answered
when a sends arp 10.1.0.1
then arrives at b
update blue4 gateway_ip=null
when a sends dhcp
then told router=null

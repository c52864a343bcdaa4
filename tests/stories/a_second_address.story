A port is given a second address: it may send from it and is found by it; taken back, it may not.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
when a sends ip 10.1.0.50 to b
then dropped in guard
update a fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 10.1.0.50}]
when a sends ip 10.1.0.50 to b
then arrives at b
when b sends arp 10.1.0.50
then answered
create port c network_id=blue fixed_ips=[{ip_address: 10.1.0.50}]
then refused IpAddressAlreadyAllocated
update a fixed_ips=[{ip_address: 10.1.0.5}]
when a sends ip 10.1.0.50 to b
then dropped in guard
when b sends arp 10.1.0.50
then arrives at a
create port c network_id=blue fixed_ips=[{ip_address: 10.1.0.50}]
then c has fixed_ips=[{ip_address: 10.1.0.50}]

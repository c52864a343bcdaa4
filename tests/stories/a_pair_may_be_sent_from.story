An allowed address pair, given later, lets a port send from one more address; taken back, it does not.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
when a sends ip 10.1.0.100 to b
then dropped in guard, because no flow lets it pass
update a allowed_address_pairs=[{ip_address: 10.1.0.100}, {ip_address: 10.9.0.0/16}]
when a sends ip 10.1.0.100 to b
then arrives at b
when a sends ip 10.9.3.4 to b
then arrives at b
when a sends ip 10.8.3.4 to b
then dropped in guard
when a sends arp 10.1.0.6 as 10.1.0.100
then answered
update a allowed_address_pairs=[]
when a sends ip 10.1.0.100 to b
then dropped in guard

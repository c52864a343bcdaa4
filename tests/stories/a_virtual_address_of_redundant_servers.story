An address that a port on no host keeps for others is asked for among those who may use it, and reached at each.

host h1
host h2
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create network blue
create subnet blue4 network_id=blue cidr=10.2.0.0/24
create router r distributed=true
do add_router_interface r subnet_id=red4
do add_router_interface r subnet_id=blue4
create security_group open
create security_group_rule in security_group_id=open direction=ingress
create port a network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port vip network_id=blue fixed_ips=[{ip_address: 10.2.0.100}]
create port b network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.2.0.5}]
create port c network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.6}] security_groups=[open]
create port d network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.7}] security_groups=[open]
# While nobody may use it the host keeps it from being taken.
when b sends arp 10.2.0.100
then answered
update c allowed_address_pairs=[{ip_address: 10.2.0.100}]
update d allowed_address_pairs=[{ip_address: 10.2.0.100}]
when b sends arp 10.2.0.100
then arrives at c, d
# Who took it over says so to all.
when d sends arp 10.2.0.100 as 10.2.0.100
then arrives at b, c
when a sends ping to vip via r at 10.2.0.100
then arrives at c, d
# A prefix is as good as an address.
update c allowed_address_pairs=[{ip_address: 10.2.0.0/24}]
update d allowed_address_pairs=[]
when b sends arp 10.2.0.100
then arrives at c, d

Two tenants use the same addresses, and know nothing of each other.

host h1
host h2
create network blue project_id=t1
create network red project_id=t2
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet red4 network_id=red cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
create port x network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.6}]
create port y network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.5}]
when a sends broadcast
then arrives at b
when x sends broadcast
then arrives at y
when a sends ip to b
then arrives at b
when a sends ip to x
then nothing arrives
when a sends arp 10.1.0.6
then answered

A network with ports cannot be deleted; when they are gone it can, and nothing of it is left on any host.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
delete blue
then refused NetworkInUse
when a sends ip to b
then arrives at b
delete b
when a sends ip to b
then dropped in switch, because no flow lets it pass
delete a
delete blue
plug a at h1
when a sends broadcast
then dropped in classify
# Its address and its name are free again.
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create port c network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port d network_id=red binding:host_id=h2
when c sends ip to d
then arrives at d

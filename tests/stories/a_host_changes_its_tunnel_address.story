A host comes back with another tunnel address: every network that it shares is reached there, and none is lost.

host h1
host h2 tunneling_ip=192.0.2.20
create network blue
create network red provider:network_type=geneve
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet red4 network_id=red cidr=10.2.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
create port c network_id=red binding:host_id=h1
create port d network_id=red binding:host_id=h2
when a sends ip to b
then arrives at b
host h2 tunneling_ip=192.0.2.21
when a sends ip to b
then arrives at b
when d sends broadcast
then arrives at c
when c sends ip to d
then arrives at d

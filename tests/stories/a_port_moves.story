A port moves to another host: it is reached there, and its old host knows nothing of the network any more.

host h1
host h2
host h3
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
when a sends ip to b
then arrives at b
update b binding:host_id=h3
when a sends ip to b
then arrives at b
when b sends broadcast
then arrives at a
# The device is still on the old host: it is nobody's there.
plug b at h2
when b sends broadcast
then dropped in classify, because no flow lets it pass

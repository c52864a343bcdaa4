Frames of other protocols than IP pass a port with port security where its host permits their type, from its own MAC.

host h1 permitted_ethertypes=["0x8847", "0x4008"]
host h2 permitted_ethertypes=["0x8847"]
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create port a network_id=red binding:host_id=h1
create port b network_id=red binding:host_id=h2
create port c network_id=red binding:host_id=h1
when a sends ethertype 0x8847 to b
then arrives at b
when b sends ethertype 0x8847 to a
then arrives at a
when a sends ethertype 0x8848 to b
then dropped in guard
when a sends ethertype 0x8847 as fa:16:3e:99:99:99 to b
then dropped in guard

# each host permits what it permits
when a sends ethertype 0x4008 to c
then arrives at c
when a sends ethertype 0x4008 to b
then dropped in ingress-filter
when b sends ethertype 0x4008 to a
then dropped in guard

# without port security no type needs to be permitted
update a port_security_enabled=false security_groups=[]
update b port_security_enabled=false security_groups=[]
when a sends ethertype 0x8848 to b
then arrives at b

Port security is switched off: the port sends what it likes, its neighbours stay guarded. Switched on, it is guarded too.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create security_group all
create security_group_rule in security_group_id=all direction=ingress
create port b network_id=blue binding:host_id=h2 security_groups=[all]
when a sends as fa:16:3e:00:00:99 to b
then dropped in guard
when b sends unknown
then dropped in switch
update a port_security_enabled=false security_groups=[]
when a sends ip 10.7.7.7 to b
then arrives at b
when a sends as fa:16:3e:00:00:99 to b
then arrives at b
when b sends ip 10.7.7.7 to a
then dropped in guard
# Any MAC address may be behind it.
when b sends unknown
then arrives at a
update a port_security_enabled=true
when a sends as fa:16:3e:00:00:99 to b
then dropped in guard
when b sends unknown
then dropped in switch

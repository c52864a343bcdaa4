A log says what the security groups of a port let pass or dropped: the first packet of a connection, each refused one.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group web
create security_group_rule www security_group_id=web direction=ingress protocol=tcp port_range_min=80 port_range_max=80
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2 security_groups=[web]
when a sends tcp 81 to b
then logged nothing
create log all resource_type=security_group target_id=b
when a sends tcp 81 to b
then dropped in ingress-rules, because b
then logged DROP at b
when a sends tcp 80 to b
then arrives at b
then logged ACCEPT at b
when b answers
then arrives at a
then logged nothing
when a sends more
then logged nothing
# A log of the group is one of every port in it; one that is not enabled is none.
update all enabled=false
when a sends tcp 81 to b
then logged nothing
create log drops resource_type=security_group resource_id=web event=DROP
when a sends tcp 81 to b
then logged DROP at b
when a sends udp 80 to b
then logged DROP at b
when b sends tcp 80 to a
then logged nothing
update b security_groups=[]
when a sends tcp 81 to b
then logged nothing
# A connection that is cut is a packet dropped.
update b security_groups=[web]
update all enabled=true
when a sends tcp 80 from 5000 to b
then logged ACCEPT at b
when b answers
then arrives at a
delete www
when a sends more
then dropped in ingress-rules
then logged DROP at b
# A log of neither a port nor a group is one of every port of its project.
create security_group_rule dns security_group_id=web direction=ingress protocol=udp
delete all
delete drops
create log whole resource_type=security_group event=ACCEPT
when a sends udp 53 to b
then arrives at b
then logged ACCEPT at a, ACCEPT at b
delete whole
when a sends udp 53 from 7000 to b
then logged nothing

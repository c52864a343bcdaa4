A protocol is named or numbered; others than TCP, UDP, SCTP and ICMP go by their number.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group tunnels
create security_group_rule gre security_group_id=tunnels direction=ingress protocol=gre
create security_group_rule esp security_group_id=tunnels direction=ingress protocol=50
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[tunnels]
when a sends protocol 47 to b
then arrives at b
when a sends protocol 50 to b
then arrives at b
when a sends protocol 51 to b
then dropped in ingress-rules

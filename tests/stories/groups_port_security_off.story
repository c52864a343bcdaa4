Without port security a port is in no group: it sends and gets everything, and others still choose what they let in.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] port_security_enabled=false
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
when b sends tcp 80 to a
then arrives at a
when a answers
then arrives at b
when a sends tcp 80 to b
then dropped in ingress-rules
update a port_security_enabled=true
when b sends tcp 22 to a
then dropped in ingress-rules

Addresses and routers are had without rules; an answer of DHCP comes from a server alone.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}]
create port d network_id=blue binding:host_id=h2 port_security_enabled=false
when a sends dhcp
then to agent
when d sends udp 68 from 67 to a
then arrives at a
when b sends udp 68 from 67 to a
then dropped in guard
when d sends udp 68 from 69 to a
then dropped in ingress-rules

A port in no group sends and gets nothing but what every port needs: addresses, neighbours, routers.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}] security_groups=[]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}]
when a sends tcp 80 to b
then dropped in egress-rules, because no flow lets it pass
when b sends tcp 80 to a
then dropped in ingress-rules
when a sends dhcp
then to agent
when a sends arp 10.1.0.6
then answered
when a sends solicit 2001:db8::6
then answered
when b sends arp 10.1.0.77
then arrives at a

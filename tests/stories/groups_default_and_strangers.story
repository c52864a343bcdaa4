The default group lets nobody in who is not of it, by v4 and by v6; out it lets everything.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
create security_group other
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}, {ip_address: 2001:db8::6}] security_groups=[other]
when b sends tcp 80 to a
then dropped in ingress-rules, because no flow lets it pass
when b sends tcp 80 to a over ipv6
then dropped in ingress-rules
when a sends tcp 80 to b
then dropped in ingress-rules

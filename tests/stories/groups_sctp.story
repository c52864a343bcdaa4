Ports of SCTP are told apart as those of TCP are.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group phones
create security_group_rule sip security_group_id=phones direction=ingress protocol=sctp port_range_min=5060 port_range_max=5061
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[phones]
when a sends sctp 5061 to b
then arrives at b
when a sends sctp 5062 to b
then dropped in ingress-rules
when a sends tcp 5061 to b
then dropped in ingress-rules

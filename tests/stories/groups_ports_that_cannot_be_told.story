Open vSwitch knows no ports of DCCP: a rule for one lets nothing through, and says so.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create security_group odd
create security_group_rule one security_group_id=odd direction=ingress protocol=dccp port_range_min=5 port_range_max=5
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[odd]
when a sends protocol 33 to b
then dropped in ingress-rules, because cannot tell ports of protocol 33 apart
create security_group_rule all security_group_id=odd direction=ingress protocol=dccp
when a sends protocol 33 to b
then arrives at b

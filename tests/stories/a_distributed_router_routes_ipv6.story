A distributed router routes IPv6 by the same rules, and is found by its link-local address.

host h1
host h2
create network red
create subnet red6 network_id=red cidr=2001:db8:1::/64 gateway_ip=2001:db8:1::1
create network blue
create subnet blue6 network_id=blue cidr=2001:db8:2::/64 gateway_ip=2001:db8:2::1
create router r distributed=true
do add_router_interface r subnet_id=red6
do add_router_interface r subnet_id=blue6
create port a network_id=red binding:host_id=h1 fixed_ips=[{ip_address: "2001:db8:1::5"}]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: "2001:db8:2::5"}]
when a sends solicit 2001:db8:1::1
then answered
when a sends ping to b via r
then arrives at b
then b sees nw_ttl=63
when b answers back via r
then arrives at a
when a sends ping to a via r at 2001:db8:2::1
then arrives at a
then a sees ipv6_src=2001:db8:2::1 icmpv6_type=129
when a sends ping to b via r ttl 1
then to agent
when a sends tcp 22 to b via r at 2001:db8:2::1
then dropped in router

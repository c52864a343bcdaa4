What an instance without a floating IP sends outside is hidden behind the gateway's address, on the gateway's host.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
host out bridge_mappings={physnet: br-ex}
create network ext router:external=true provider:network_type=flat provider:physical_network=physnet
create subnet ext4 network_id=ext cidr=203.0.113.0/24 enable_dhcp=false allocation_pools=[{start: 203.0.113.10, end: 203.0.113.99}]
create port up network_id=ext binding:host_id=out fixed_ips=[{ip_address: 203.0.113.1}] port_security_enabled=false
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create router r distributed=true external_gateway_info={network_id: ext, external_fixed_ips: [{ip_address: 203.0.113.10}]}
do add_router_interface r subnet_id=red4
create security_group open
create security_group_rule in security_group_id=open direction=ingress protocol=icmp
create security_group_rule in2 security_group_id=open direction=ingress protocol=tcp
create port a network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[open]
create port a2 network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.6}]
when a sends ping to up via r at 203.0.113.1
then arrives at up
then up sees ip_src=203.0.113.10 nw_ttl=63
when up answers back
then arrives at a
then a sees ip_dst=10.1.0.5
# The same ports of two instances are told apart.
when a sends tcp 80 to up via r at 203.0.113.1
then up sees ip_src=203.0.113.10 tcp_src=40000
when a2 sends tcp 80 to up via r at 203.0.113.1
then up sees ip_src=203.0.113.10 tcp_src=40001
when up answers back
then arrives at a2
# Nobody outside begins a connection with what is hidden.
when up sends tcp 22 to a via r at 203.0.113.10
then nothing arrives
when up sends tcp 22 to a via r at 10.1.0.5
then nothing arrives

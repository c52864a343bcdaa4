Instances reach one another by their floating IPs, on one host and between hosts.

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
create port b network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.6}] security_groups=[open]
create port c network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.7}] security_groups=[open]
create floatingip f floating_network_id=ext floating_ip_address=203.0.113.50 port_id=a
create floatingip g floating_network_id=ext floating_ip_address=203.0.113.51 port_id=b
when a sends tcp 22 to b via r at 203.0.113.51
then arrives at b
then b sees ip_src=203.0.113.50 ip_dst=10.1.0.6
when b answers back via r
then arrives at a
then a sees ip_src=203.0.113.51 ip_dst=10.1.0.5
when c sends tcp 22 to b via r at 203.0.113.51
then arrives at b
then b sees ip_src=203.0.113.10
when b answers back via r
then arrives at c
then c sees ip_src=203.0.113.51

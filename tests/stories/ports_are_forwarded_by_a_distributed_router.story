Ports of a floating IP are forwarded on the gateway's host.

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
create floatingip f floating_network_id=ext floating_ip_address=203.0.113.50
create port_forwarding p floatingip_id=f protocol=tcp external_port=8080 internal_port=80 internal_ip_address=10.1.0.5 internal_port_id=a
when up sends arp 203.0.113.50
then answered
when up sends tcp 8080 to a via f at 203.0.113.50
then arrives at a
then a sees ip_dst=10.1.0.5 tcp_dst=80
when a answers back via r
then arrives at up
then up sees ip_src=203.0.113.50 tcp_src=8080
when up sends tcp 8081 to a via f at 203.0.113.50
then nothing arrives

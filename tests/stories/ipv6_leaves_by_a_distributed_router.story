IPv6 goes out and in as it is, by the gateway's host.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
host out bridge_mappings={physnet: br-ex}
create network ext router:external=true provider:network_type=vlan provider:physical_network=physnet
create subnet ext6 network_id=ext cidr=2001:db8:f::/64 gateway_ip=2001:db8:f::1 enable_dhcp=false
create port up network_id=ext binding:host_id=out fixed_ips=[{ip_address: "2001:db8:f::1"}] port_security_enabled=false
create network red
create subnet red6 network_id=red cidr=2001:db8:1::/64 gateway_ip=2001:db8:1::1
create router r distributed=true external_gateway_info={network_id: ext, external_fixed_ips: [{ip_address: "2001:db8:f::10"}]}
do add_router_interface r subnet_id=red6
create port a network_id=red binding:host_id=h2 fixed_ips=[{ip_address: "2001:db8:1::5"}]
when a sends ping to up via r at 2001:db8:f::1
then arrives at up
then up sees ipv6_src=2001:db8:1::5 nw_ttl=63
when up answers back
then arrives at a
when up sends solicit 2001:db8:f::10
then answered
when a sends ping to up via r at 2001:db8:99::1
then arrives at up

With NDP proxies a distributed router answers outside for the chosen addresses, and for nobody else inside.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
host out bridge_mappings={physnet: br-ex}
create address_scope six ip_version=6
create subnetpool pool prefixes=["2001:db8::/32"] address_scope_id=six default_prefixlen=64
create network ext router:external=true provider:network_type=flat provider:physical_network=physnet
create subnet ext6 network_id=ext subnetpool_id=pool ip_version=6 cidr=2001:db8:ffff::/64 enable_dhcp=false
create port up network_id=ext binding:host_id=out fixed_ips=[{ip_address: "2001:db8:ffff::99"}] port_security_enabled=false
create network red
create subnet red6 network_id=red subnetpool_id=pool ip_version=6 cidr=2001:db8:1::/64
create router r distributed=true external_gateway_info={network_id: ext} enable_ndp_proxy=true
do add_router_interface r subnet_id=red6
create security_group open
create security_group_rule in security_group_id=open direction=ingress ethertype=IPv6
create port a network_id=red binding:host_id=h2 fixed_ips=[{ip_address: "2001:db8:1::5"}] security_groups=[open]
create port b network_id=red binding:host_id=h1 fixed_ips=[{ip_address: "2001:db8:1::6"}] security_groups=[open]
create ndp_proxy proxy router_id=r port_id=a
when up sends solicit 2001:db8:1::5
then answered
when up sends tcp 22 to a via r at 2001:db8:1::5
then arrives at a
# Nobody is met that was not chosen, but for what he asked for himself.
when up sends solicit 2001:db8:1::6
then nothing arrives
when up sends tcp 22 to b via r at 2001:db8:1::6
then nothing arrives
when b sends tcp 80 to up via r at 2001:db8:ffff::99
then arrives at up
when up answers back
then arrives at b
delete proxy
when up sends tcp 22 to a via r at 2001:db8:1::5
then nothing arrives

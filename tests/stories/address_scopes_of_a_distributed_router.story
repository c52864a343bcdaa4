Within an address scope addresses go as they are; from one scope to another only what is translated goes.

host h1 bridge_mappings={physnet: br-ex}
host h2 bridge_mappings={physnet: br-ex}
host out bridge_mappings={physnet: br-ex}
create address_scope ours ip_version=4
create address_scope theirs ip_version=4
create subnetpool public prefixes=[203.0.113.0/24] address_scope_id=ours default_prefixlen=24
create subnetpool mine prefixes=[10.1.0.0/16] address_scope_id=ours default_prefixlen=24
create subnetpool other prefixes=[10.2.0.0/16] address_scope_id=theirs default_prefixlen=24
create network ext router:external=true provider:network_type=flat provider:physical_network=physnet
create subnet ext4 network_id=ext subnetpool_id=public cidr=203.0.113.0/24 enable_dhcp=false allocation_pools=[{start: 203.0.113.10, end: 203.0.113.99}]
create port up network_id=ext binding:host_id=out fixed_ips=[{ip_address: 203.0.113.1}] port_security_enabled=false
create network red
create subnet red4 network_id=red subnetpool_id=mine cidr=10.1.0.0/24
create network pink
create subnet pink4 network_id=pink subnetpool_id=mine cidr=10.1.1.0/24
create network blue
create subnet blue4 network_id=blue subnetpool_id=other cidr=10.2.0.0/24
create router r distributed=true external_gateway_info={network_id: ext, external_fixed_ips: [{ip_address: 203.0.113.10}]}
do add_router_interface r subnet_id=red4
do add_router_interface r subnet_id=pink4
do add_router_interface r subnet_id=blue4
create security_group open
create security_group_rule in security_group_id=open direction=ingress protocol=icmp
create security_group_rule in2 security_group_id=open direction=ingress protocol=tcp
create port a network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[open]
create port p network_id=pink binding:host_id=h1 fixed_ips=[{ip_address: 10.1.1.5}] security_groups=[open]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.5}] security_groups=[open]
# Inside: to the same scope, and to no other.
when a sends ping to p via r
then arrives at p
when a sends ping to b via r
then dropped in scope
when b sends ping to a via r
then dropped in scope
# Outside: as it is in the same scope, hidden from another.
when a sends ping to up via r at 203.0.113.1
then up sees ip_src=10.1.0.5
when b sends ping to up via r at 203.0.113.1
then up sees ip_src=203.0.113.10
when up answers back
then arrives at b
# From outside: into the same scope, not into another.
when up sends tcp 22 to a via r at 10.1.0.5
then arrives at a
then a sees ip_src=203.0.113.1
when up sends tcp 22 to b via r at 10.2.0.5
then nothing arrives
# A floating IP leads into any.
create floatingip f floating_network_id=ext floating_ip_address=203.0.113.50 port_id=b
when up sends tcp 22 to b via f at 203.0.113.50
then arrives at b
when b answers back via r
then up sees ip_src=203.0.113.50
# Without source NAT what is of another scope stays inside.
delete f
update r external_gateway_info={network_id: ext, enable_snat: false, external_fixed_ips: [{ip_address: 203.0.113.10}]}
when a sends ping to up via r at 203.0.113.1
then up sees ip_src=10.1.0.5
when b sends tcp 81 to up via r at 203.0.113.1
then dropped in scope
when up sends ping to b via r at 10.2.0.5
then nothing arrives

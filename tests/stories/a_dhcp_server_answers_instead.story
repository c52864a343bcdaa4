Where a network has a DHCP server of its own, questions go to that server, and hosts do not answer themselves.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64
    ipv6_ra_mode=dhcpv6-stateful ipv6_address_mode=dhcpv6-stateful
create port a network_id=blue binding:host_id=h1
create port b network_id=blue binding:host_id=h2
when a sends dhcp
then to agent
create port d network_id=blue binding:host_id=h2 device_owner=network:dhcp device_id=server
when a sends dhcp
then arrives at d
when b sends dhcp
then arrives at d
when a sends dhcp6
then arrives at d
# Router advertisements are still the host's.
when a sends rs
then to agent
delete d
when a sends dhcp
then to agent

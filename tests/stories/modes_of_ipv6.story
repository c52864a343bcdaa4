Router advertisements say where addresses come from, as the subnet's modes say; without a mode nothing is advertised.

host h1
create network s
create network l
create network d
create network n
create subnet s6 network_id=s cidr=2001:db8:1::/64 ipv6_ra_mode=slaac ipv6_address_mode=slaac
create subnet l6 network_id=l cidr=2001:db8:2::/64 ipv6_ra_mode=dhcpv6-stateless ipv6_address_mode=dhcpv6-stateless
    dns_nameservers=[2001:db8::53]
create subnet d6 network_id=d cidr=2001:db8:3::/64 ipv6_ra_mode=dhcpv6-stateful ipv6_address_mode=dhcpv6-stateful
create subnet n6 network_id=n cidr=2001:db8:4::/64
create port a network_id=s binding:host_id=h1
create port b network_id=l binding:host_id=h1
create port c network_id=d binding:host_id=h1 fixed_ips=[{ip_address: 2001:db8:3::5}]
create port e network_id=n binding:host_id=h1
when a sends rs
then told slaac=2001:db8:1::/64 managed=no other=no
when b sends rs
then told slaac=2001:db8:2::/64 managed=no other=yes
when b sends dhcp6
then told ip=null dns=2001:db8::53
when c sends rs
then told onlink=2001:db8:3::/64 managed=yes
when c sends dhcp6
then told ip=2001:db8:3::5
when e sends rs
then nothing arrives

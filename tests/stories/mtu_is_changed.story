The MTU of a network is told to its instances; it is as large as the underlay carries, and may be made smaller.

host h1
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8::/64 ipv6_ra_mode=slaac ipv6_address_mode=slaac
create port a network_id=blue binding:host_id=h1
then blue has mtu=1450
when a sends dhcp
then told mtu=1450
update blue mtu=1400
when a sends dhcp
then told mtu=1400
when a sends rs
then told mtu=1400
update blue mtu=9000
then refused InvalidInput

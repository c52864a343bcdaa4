An instance neither serves DHCP nor advertises routers.

given network blue vxlan 10.1.0.0/24 2001:db8::/64
given port a on blue at h1, ip 10.1.0.5, ip 2001:db8::5
given port b on blue at h2, ip 10.1.0.6, ip 2001:db8::6
when a sends udp 68 from 67 to b
then dropped in guard
when a sends advert
then dropped in guard
when a sends udp 5000 to b
then arrives at b

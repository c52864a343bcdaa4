Who has this address? The host says so, for every port of the network and no other.

given network blue vxlan 10.1.0.0/24 2001:db8::/64
given port a on blue at h1, ip 10.1.0.5, ip 2001:db8::5
given port b on blue at h2, ip 10.1.0.6, ip 2001:db8::6
when a sends arp 10.1.0.6
then answered
when a sends solicit 2001:db8::6
then answered
when a sends arp 10.1.0.77
then arrives at b
# Nobody is told that its own address is taken.
when a sends probe 10.1.0.5
then arrives at b
when a sends solicit 2001:db8::5
then arrives at b

A port sends from its own addresses and no others.

given network blue vxlan 10.1.0.0/24 2001:db8::/64
given port a on blue at h1, ip 10.1.0.5, ip 2001:db8::5
given port b on blue at h2, ip 10.1.0.6, ip 2001:db8::6
when a sends ip 10.1.0.9 to b
then dropped in guard
when a sends ip 2001:db8::9 to b
then dropped in guard
when a sends as fa:16:3e:00:00:99 to b
then dropped in guard
when a sends arp 10.1.0.6 as 10.1.0.9
then dropped in guard

Instances of one network reach each other, wherever they are.

given network blue vxlan 10.1.0.0/24 2001:db8::/64
given port a on blue at h1, ip 10.1.0.5, ip 2001:db8::5
given port b on blue at h2, ip 10.1.0.6, ip 2001:db8::6
given port c on blue at h1, ip 10.1.0.7
when a sends ip to b
then arrives at b
when b sends ip to a
then arrives at a
when a sends ip 2001:db8::5 to b
then arrives at b
when a sends ip to c
then arrives at c

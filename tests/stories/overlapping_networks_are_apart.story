Two networks with the same addresses know nothing of each other.

given network blue vxlan 10.1.0.0/24
given network red vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5
given port b on blue at h2, ip 10.1.0.6
given port x on red at h1, ip 10.1.0.6
given port y on red at h2, ip 10.1.0.5
when a sends broadcast
then arrives at b
when a sends ip to x
then nothing arrives
when a sends ip to b
then arrives at b
when x sends broadcast
then arrives at y

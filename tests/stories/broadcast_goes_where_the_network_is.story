A broadcast reaches each port of the network once, and no other host.

given network blue vxlan 10.1.0.0/24
given network red vxlan 10.2.0.0/24
given port a on blue at h1, ip 10.1.0.5
given port b on blue at h1, ip 10.1.0.6
given port c on blue at h2, ip 10.1.0.7
given port d on blue at h3, ip 10.1.0.8
given port x on red at h4, ip 10.2.0.5
when a sends broadcast
then arrives at b, c, d
when c sends broadcast
then arrives at a, b, d
when x sends broadcast
then nothing arrives

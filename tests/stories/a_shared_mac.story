A MAC that two ports may have by their address pairs leads to both.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5, pair 10.1.0.100 00:00:5e:00:01:01
given port b on blue at h2, ip 10.1.0.6, pair 10.1.0.100 00:00:5e:00:01:01
given port c on blue at h2, ip 10.1.0.7
when a sends as 00:00:5e:00:01:01 to c
then dropped in guard
when c sends broadcast
then arrives at a, b

A port without port security sends what it likes; its neighbours stay guarded.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5, open
given port b on blue at h2, ip 10.1.0.6
when a sends ip 10.7.7.7 to b
then arrives at b
when a sends as fa:16:3e:00:00:99 to b
then arrives at b
when b sends ip 10.7.7.7 to a
then dropped in guard
when b sends unknown
then arrives at a

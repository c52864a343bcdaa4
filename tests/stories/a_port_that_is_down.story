A port that is switched off sends and gets nothing.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5, down
given port b on blue at h2, ip 10.1.0.6
given port c on blue at h1, ip 10.1.0.7, unplugged
when a sends ip to b
then dropped in classify
when b sends ip to a
then nothing arrives
when b sends ip to c
then nothing arrives

A local network leaves no host.

given network l local 10.1.0.0/24
given port a on l at h1, ip 10.1.0.5
given port b on l at h1, ip 10.1.0.6
given port c on l at h2, ip 10.1.0.7
when a sends broadcast
then arrives at b
when a sends ip to c
then nothing arrives

Every kind of tunnel carries its networks, and a host may have several.

given network g gre 10.1.0.0/24
given network n geneve 10.1.0.0/24
given port a on g at h1, ip 10.1.0.5
given port b on g at h2, ip 10.1.0.6
given port c on n at h1, ip 10.1.0.5
given port d on n at h2, ip 10.1.0.6
when a sends broadcast
then arrives at b
when c sends ip to d
then arrives at d

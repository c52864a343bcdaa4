Provider networks travel by the physical network, each with its tag.

given network v vlan 10.1.0.0/24
given network w vlan 10.1.0.0/24
given network f flat 10.1.0.0/24
given port a on v at h1, ip 10.1.0.5
given port b on v at h2, ip 10.1.0.6
given port c on w at h2, ip 10.1.0.6
given port d on f at h1, ip 10.1.0.5
given port e on f at h2, ip 10.1.0.6
when a sends ip to b
then arrives at b
when a sends broadcast
then arrives at b
when d sends broadcast
then arrives at e
when d sends ip to e
then arrives at e
when a sends ip to c
then nothing arrives

A client renews its lease with the server that gave it, by unicast: that address is answered for.

given network blue vxlan 10.1.0.0/24
given network v vlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5
given port b on blue at h2, ip 10.1.0.6
given port c on v at h1, ip 10.1.0.5
given port d on v at h2, ip 10.1.0.6
when a sends arp 10.1.0.1
then answered
# On a physical network the gateway may be a machine of its own, and answers for itself.
when c sends arp 10.1.0.1
then arrives at d

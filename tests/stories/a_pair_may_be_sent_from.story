An allowed address pair lets a port send from one more address.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5, pair 10.1.0.100, pair 10.9.0.0/16
given port b on blue at h2, ip 10.1.0.6
when a sends ip 10.1.0.100 to b
then arrives at b
when a sends ip 10.9.3.4 to b
then arrives at b
when a sends ip 10.8.3.4 to b
then dropped in guard
when a sends arp 10.1.0.6 as 10.1.0.100
then answered

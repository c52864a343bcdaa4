A frame for an address that nobody has goes nowhere on a tunnelled network.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5
given port b on blue at h2, ip 10.1.0.6
when a sends unknown
then dropped in switch

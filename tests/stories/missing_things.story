What the host does not know yet lets nothing through, and breaks nothing.

given network blue vxlan 10.1.0.0/24
given port a on blue at h1, ip 10.1.0.5
given port b on blue at h2, ip 10.1.0.6
given port lost on nowhere at h1, ip 10.1.0.9
when lost sends ip to b
then dropped in classify
when a sends ip to b
then arrives at b

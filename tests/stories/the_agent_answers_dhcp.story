Questions for addresses and routers go to the agent of the host, and nowhere else.

given network blue vxlan 10.1.0.0/24 2001:db8::/64
given network bare vxlan
given port a on blue at h1, ip 10.1.0.5, ip 2001:db8::5
given port b on blue at h1, ip 10.1.0.6, ip 2001:db8::6
given port x on bare at h1
given port y on bare at h2
when a sends dhcp
then to agent
when a sends dhcp6
then to agent
when a sends rs
then to agent
# A network without subnets has nobody who answers: somebody on it may.
when x sends dhcp
then arrives at y

Where a subnet has no DHCP the agent does not answer, and what asks goes to those on the network who may.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24 enable_dhcp=false
create port a network_id=blue binding:host_id=h1
# A DHCP server in an instance has port security off: else its groups would let no question in, nor it answer.
create port b network_id=blue binding:host_id=h2 port_security_enabled=false
when a sends dhcp
then arrives at b
update blue4 enable_dhcp=true
when a sends dhcp
then to agent
then told router=10.1.0.1
update blue4 enable_dhcp=false
when a sends dhcp
then arrives at b

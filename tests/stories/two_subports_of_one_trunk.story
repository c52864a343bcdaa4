Two subports of one trunk, and the parent, on one network: they talk with one another over one device.

host h1
create network red
create subnet red4 network_id=red cidr=10.1.0.0/24
create subnet red6 network_id=red cidr=2001:db8:1::/64 ipv6_ra_mode=slaac ipv6_address_mode=slaac
create security_group open
create security_group_rule in security_group_id=open direction=ingress ethertype=IPv4
create security_group_rule in6 security_group_id=open direction=ingress ethertype=IPv6
create port parent network_id=red fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[open]
create port one network_id=red fixed_ips=[{ip_address: 10.1.0.6}, {subnet_id: red6}] security_groups=[open]
create port two network_id=red fixed_ips=[{ip_address: 10.1.0.7}, {subnet_id: red6}] port_security_enabled=false security_groups=[]
create trunk t port_id=parent sub_ports=[{port_id: one, segmentation_type: vlan, segmentation_id: 7}, {port_id: two, segmentation_type: vlan, segmentation_id: 8}]
update parent binding:host_id=h1
when one sends ip to two
then arrives at two
when two sends ip to one
then arrives at one
when one sends ip to parent
then arrives at parent
when parent sends ip to one
then arrives at one
when one sends broadcast
then arrives at parent, two
when two sends broadcast
then arrives at parent, one
when parent sends broadcast
then arrives at one, two
when one sends rs
then to agent
when one sends dhcp
then to agent
then told ip=10.1.0.6
# the tag of one is for that one alone: what leaves after it has none
host h2
create port x network_id=red binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.8}] port_security_enabled=false security_groups=[]
create port y network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.9}] port_security_enabled=false security_groups=[]
when x sends broadcast
then arrives at parent, one, two, y
when y sends broadcast
then arrives at parent, one, two, x

What the next network does not take is not forwarded by a distributed router: its sender is told how much that takes.

host h1
host h2
create network red mtu=1400
create subnet red4 network_id=red cidr=10.1.0.0/24
create subnet red6 network_id=red cidr=2001:db8:1::/64
create network blue mtu=1300
create subnet blue4 network_id=blue cidr=10.2.0.0/24
create subnet blue6 network_id=blue cidr=2001:db8:2::/64
create router r distributed=true
do add_router_interface r subnet_id=red4
do add_router_interface r subnet_id=blue4
do add_router_interface r subnet_id=red6
do add_router_interface r subnet_id=blue6
create security_group open
create security_group_rule in security_group_id=open direction=ingress protocol=icmp
create security_group_rule in6 security_group_id=open direction=ingress ethertype=IPv6 protocol=ipv6-icmp
create port a network_id=red binding:host_id=h1 security_groups=[open] fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8:1::5}]
create port b network_id=blue binding:host_id=h2 security_groups=[open] fixed_ips=[{ip_address: 10.2.0.5}, {ip_address: 2001:db8:2::5}]
when a sends ping to b via r size 1300
then arrives at b
when a sends ping to b via r size 1301
then to agent
when a sends ping to b via r size 1301 at 2001:db8:2::5
then to agent
when b sends ping to a via r size 1301
then arrives at a
# One network more, with the smallest of all: the others take no notice.
update blue mtu=1400
when a sends ping to b via r size 1301
then arrives at b

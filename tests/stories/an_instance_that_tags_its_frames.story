A trunk: frames with a subport's tag are the subport's, on its own network and with its own guard; others are nobody's.

host h1
host h2
create network red
create network blue
create network green
create subnet red4 network_id=red cidr=10.1.0.0/24
create subnet blue4 network_id=blue cidr=10.2.0.0/24
create subnet green4 network_id=green cidr=10.3.0.0/24
create security_group open
create security_group_rule in security_group_id=open direction=ingress ethertype=IPv4
create port parent network_id=red fixed_ips=[{ip_address: 10.1.0.5}] security_groups=[open]
create port sub network_id=blue fixed_ips=[{ip_address: 10.2.0.5}] security_groups=[open]
create port late network_id=green fixed_ips=[{ip_address: 10.3.0.5}] security_groups=[open]
create port r network_id=red binding:host_id=h2 fixed_ips=[{ip_address: 10.1.0.9}] security_groups=[open]
create port b network_id=blue binding:host_id=h2 fixed_ips=[{ip_address: 10.2.0.9}] security_groups=[open]
create port c network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.2.0.8}] security_groups=[open]
create trunk t port_id=parent sub_ports=[{port_id: sub, segmentation_type: vlan, segmentation_id: 100}]
update parent binding:host_id=h1
hosts acknowledge
then sub has status=ACTIVE device_owner=trunk:subport binding:host_id=h1
then t has status=ACTIVE

when sub sends ip to b
then arrives at b
when b sends ip to sub
then arrives at sub
when c sends ip to sub
then arrives at sub
when sub sends broadcast
then arrives at b, c
when b sends broadcast
then arrives at c, sub
# the tag is for the subport alone: what leaves the host after it has none
when c sends broadcast
then arrives at b, sub
when parent sends ip to r
then arrives at r
when r sends ip to parent
then arrives at parent
when sub sends arp 10.2.0.8
then answered
then arrives at sub
when sub sends solicit fe80::1
then nothing arrives

# each has its own guard, and the other's addresses help it nothing
when sub sends ip 10.1.0.5 to b
then dropped in guard
when parent sends ip 10.2.0.5 to r
then dropped in guard

# one more while it runs, and gone again
do add_subports t sub_ports=[{port_id: late, segmentation_type: vlan, segmentation_id: 101}]
then t has status=BUILD
hosts acknowledge
then late has status=ACTIVE
then t has status=ACTIVE
create port g network_id=green binding:host_id=h2 fixed_ips=[{ip_address: 10.3.0.9}] security_groups=[open]
when late sends ip to g
then arrives at g
when g sends ip to late
then arrives at late
do remove_subports t sub_ports=[{port_id: late}]
then late has status=DOWN binding:host_id="" device_owner=""
when g sends ip to late
then nothing arrives

# the parent off, and its subports with it
update parent admin_state_up=false
hosts acknowledge
then sub has status=DOWN waits_for="…is administratively down"
then t has status=DOWN
when b sends ip to sub
then nothing arrives

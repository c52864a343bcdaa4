A port that is bound to no host is known to its network, and nothing is sent to it; when it is bound it is reached.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1
create port b network_id=blue fixed_ips=[{ip_address: 10.1.0.6}]
then b has binding:vif_type=unbound waits_for="to be bound to a host"
when a sends arp 10.1.0.6
then answered
when a sends ip to b
then dropped in switch
update b binding:host_id=h2
when a sends ip to b
then arrives at b
update b binding:host_id=""
when a sends ip to b
then dropped in switch

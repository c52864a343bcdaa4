Questions for addresses and routers go to the agent of the host, which answers by what the API says, and nowhere else.

host h1
host h2
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24 dns_nameservers=[9.9.9.9]
    host_routes=[{destination: 10.8.0.0/16, nexthop: 10.1.0.254}]
create subnet blue6 network_id=blue cidr=2001:db8::/64
    ipv6_ra_mode=dhcpv6-stateful ipv6_address_mode=dhcpv6-stateful
create network bare
create port a network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.5}, {ip_address: 2001:db8::5}]
create port b network_id=blue binding:host_id=h1
create port x network_id=bare binding:host_id=h1
create port y network_id=bare binding:host_id=h2 port_security_enabled=false
when a sends dhcp
then to agent
then told ip=10.1.0.5 mask=255.255.255.0 router=10.1.0.1 dns=9.9.9.9 mtu=1450 hostname=host-10-1-0-5
then told routes="10.8.0.0/16>10.1.0.254,0.0.0.0/0>10.1.0.1"
when a sends dhcp6
then to agent
then told ip=2001:db8::5
when a sends rs
then to agent
then told managed=yes router=no
# A network without subnets has nobody who answers: somebody on it may.
when x sends dhcp
then arrives at y

A port is told the name that the API gives it, else one made of its address; resolvers follow their subnet.

host h1
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 dns_name=web fixed_ips=[{ip_address: 10.1.0.5}]
create port b network_id=blue binding:host_id=h1 fixed_ips=[{ip_address: 10.1.0.6}]
when a sends dhcp
then told hostname=web domain=openstacklocal
when b sends dhcp
then told hostname=host-10-1-0-6 dns=null
update blue4 dns_nameservers=[9.9.9.9, 1.1.1.1]
update a dns_name=www
when a sends dhcp
then told hostname=www dns="9.9.9.9,1.1.1.1"
# 0.0.0.0 says: offer none.
update blue4 dns_nameservers=[0.0.0.0]
when a sends dhcp
then told dns=null

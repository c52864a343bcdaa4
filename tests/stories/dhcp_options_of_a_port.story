A port's extra DHCP options are told at the next request; so is that one was taken back.

host h1
create network blue
create subnet blue4 network_id=blue cidr=10.1.0.0/24
create port a network_id=blue binding:host_id=h1 extra_dhcp_opts=[{opt_name: bootfile-name, opt_value: pxelinux.0}]
when a sends dhcp
then told bootfile=pxelinux.0 tftp=null mtu=1450
update a extra_dhcp_opts=[{opt_name: tftp-server, opt_value: 10.1.0.9}, {opt_name: mtu, opt_value: "1300"}]
when a sends dhcp
then told bootfile=pxelinux.0 tftp=10.1.0.9 mtu=1300
update a extra_dhcp_opts=[{opt_name: bootfile-name, opt_value: null}]
when a sends dhcp
then told bootfile=null tftp=10.1.0.9

"""A cloud on one machine: hosts and instances are network namespaces, each host with an Open vSwitch of its own.

In: how many hosts, which instances on which networks. Out: a running server, an agent per host, instances that ping.
Law: whatever the lab makes can be found from outside by its owner's mark, so a killed lab is cleaned all the same.
"""

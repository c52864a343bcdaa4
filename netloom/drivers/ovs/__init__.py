"""Open vSwitch: bridges and ports by OVSDB, flows by OpenFlow 1.4, both natively over the host's unix sockets."""

"""OpenFlow 1.4 with Open vSwitch's extensions: the part that Netloom uses, from values to bytes and back.

Law: decoding a flow that a switch dumped gives the value that was rendered, so that planning again is empty (law 2).
No I/O here. Numbers are those of the OpenFlow 1.4 specification, ovs-fields(7) and ovs-actions(7).
"""

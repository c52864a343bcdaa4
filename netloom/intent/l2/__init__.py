"""Networks, their segments, ports, bindings, trunks and mirrors."""

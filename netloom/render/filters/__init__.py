"""Packet filters of the host's kernel as things: nft for Linux bridges, iptables where each instance has a tap."""

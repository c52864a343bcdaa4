"""The hands of the host's packet filters: nft for Linux bridges, iptables and ipset where instances have a tap."""

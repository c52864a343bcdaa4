"""A host that switches with Linux bridges: devices, who is where, and what its packet filter holds."""

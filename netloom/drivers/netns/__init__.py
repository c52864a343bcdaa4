"""Network namespaces of routers: what is in them, and the kernel that is asked for it."""

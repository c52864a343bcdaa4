"""The hands of Linux bridges: devices, their ports and tables by netlink; and the frames that the agent answers."""

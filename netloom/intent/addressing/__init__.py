"""Subnets, pools of prefixes, scopes, and the addresses of ports."""

"""Routers, floating IPs and all that translates addresses."""

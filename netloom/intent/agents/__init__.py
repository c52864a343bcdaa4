"""Agents, zones, flavors, and which host serves what."""

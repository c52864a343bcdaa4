"""Composition of an agent, and of many in one process."""

"""Composition of a server and of a relay, and what servers of one store do together."""

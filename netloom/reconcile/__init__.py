"""Desired and actual state in, an ordered plan of ops out; retries and back-off as values that are told the time."""

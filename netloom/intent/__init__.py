"""What people may ask: one declaration per API resource, and one readable function per operation on it.

In: a snapshot and a typed request. Out: the changes it causes, or an error in the words of the Networking API.
"""

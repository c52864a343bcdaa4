"""Who asks, in three ways: noauth (everybody), builtin (users of our own), keystone (a real one is asked).

Law: `authenticate` alone makes a Requester out of headers; the rest of the API never looks at a token.
"""

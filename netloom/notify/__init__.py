"""What other services are told of what happened here. Each is one more reader of the log and has its place in it.

Law: a service that is away delays what it is told, and nothing else; what it is told comes from commits alone.
"""

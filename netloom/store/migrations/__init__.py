"""How a store gets from one schema to the next. Revisions are numbers in a line: 0001, 0002, …"""

"""Security groups, their rules, sets of addresses, and logs of what they do."""

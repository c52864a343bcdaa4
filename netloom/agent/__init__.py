"""The loop of a host: pull → render → read → plan → apply → report.

What enters: slices from the feed, facts and packets from the switch, the clock. What leaves: ops for the drivers,
answers to instances, acknowledgements and reports for the server. Each stage hands a value to the next.
"""

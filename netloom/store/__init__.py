"""Memory: makes snapshots durable. In go operations, out come snapshots, and log entries in the order of revisions.

Law 7, durable before visible, is kept in `writer.py`; all SQL of the program is in this folder.

    operation ─▶ writer ─▶ journal ─▶ SQLite      snapshot, answers and listeners only after the commit
                   ▲                     │
                   └── load: snapshot ◀──┘        at start, and after a failure whose end is not known
"""

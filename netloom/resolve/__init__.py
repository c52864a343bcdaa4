"""Snapshot → slices: what hosts need to know. Knows the fleet, knows no device.

`rows.py` says which rows an object stands in and what each row holds; `slices.py` makes whole slices of that and keeps
followed ones current. There are no change handlers: a changed object names the rows it touches, and those are resolved
anew from the snapshot.
"""

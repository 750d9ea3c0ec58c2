"""The transactions of a record's life: one file, one transaction, one invariant.

State is written in `transition` alone. Locks are taken in one order: record, then dataset.
"""

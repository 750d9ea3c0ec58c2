"""Leases: the right to work on a row until a moment, renewed by a heartbeat, taken back by a sweep.

A table whose rows are leased describes itself (`leased`); nothing here knows what its rows are.
"""

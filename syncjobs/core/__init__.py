"""Decisions as values: no Django, clock, disk, network or randomness. Time comes in as an argument."""

"""Reads the event log and the time, and moves alerts."""

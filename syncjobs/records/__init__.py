"""Sync records: how their state changes, and who asks for it."""

"""Zones, windows, schedules and fires, and the database's clock."""

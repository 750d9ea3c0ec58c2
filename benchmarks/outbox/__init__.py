"""Readings in and out: beside bare limits on the same machine."""

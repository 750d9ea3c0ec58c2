"""Saving rules and channels, whatever surface asks, and as YAML."""

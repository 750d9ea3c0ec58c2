"""What surfaces ask: reading only, one question a module."""

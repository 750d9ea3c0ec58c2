"""The far end: connectors, their secrets, transports, guarded connections."""

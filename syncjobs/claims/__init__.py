"""Who may work on a record: limits, claims, leases, heartbeats, and taking back."""

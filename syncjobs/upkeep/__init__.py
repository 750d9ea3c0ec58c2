"""What workers and beat do beside syncs."""

"""The one-machine default: PostgreSQL, Valkey, processes, sample hosts."""

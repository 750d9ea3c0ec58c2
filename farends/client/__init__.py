"""Kind client: a client system that takes readings in batches."""

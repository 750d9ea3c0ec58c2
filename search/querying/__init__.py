"""The one question that every surface asks, and its answer."""

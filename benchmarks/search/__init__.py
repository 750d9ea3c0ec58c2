"""What the figures of the search come from."""

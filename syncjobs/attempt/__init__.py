"""One attempt at a record, from the claim to its end."""

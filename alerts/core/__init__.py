"""Pure: what alerts are, when they open and recover, and what goes to whom in which bundle."""

"""Kinds of work: what an attempt does between claim and finish. Each has a package, and a line in `table`."""

"""Two sample hosts on loopback, for `make demo`: something real to pull from."""

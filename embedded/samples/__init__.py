"""Two sample hosts and a client system on loopback, for `make demo`: something real to pull from and to push to."""

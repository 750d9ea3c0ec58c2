"""Where vectors lie, how a generation of them is filled, and when it begins to serve."""

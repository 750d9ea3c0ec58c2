"""What kinds over HTTP share: URLs, log-ins, how heads are read, and the socket of a conversation."""

"""The other direction: readings that wait in line and go to a client system, each once."""

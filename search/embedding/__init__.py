"""Turns text into vectors: the services, what limits them, and the vectors of questions."""

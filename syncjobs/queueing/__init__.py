"""Turns a due fire or a request into a queued record and a message."""

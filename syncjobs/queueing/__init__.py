"""From a due fire or a request to a queued record, and to a message."""

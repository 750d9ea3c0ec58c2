"""Makes messages of what is due, and sends them by a child process."""

"""The services that turn text into vectors."""

"""Readings through kills of everything: senders, workers, beats, the client system, PostgreSQL, Valkey's memory."""

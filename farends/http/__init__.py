"""Kinds http and https: files that pages list."""

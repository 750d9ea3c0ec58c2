"""Clients of MCP that others have made, each as a program that tells in JSON what it found."""

"""The surface for programs."""

"""How good answers are, and how long a question takes."""

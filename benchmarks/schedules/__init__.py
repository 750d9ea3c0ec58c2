"""How late jobs are dispatched, and what a beat costs."""

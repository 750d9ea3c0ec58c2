"""Tables: rows where they lie, and what each version changed in them."""

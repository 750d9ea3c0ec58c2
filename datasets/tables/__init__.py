"""Tables: where their rows lie, how they come in, and what each version changed in them."""

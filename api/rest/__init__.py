"""REST: views, and what every request goes through."""

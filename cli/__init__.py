"""The surface for shells: manage.py commands."""

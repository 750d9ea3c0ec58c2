"""How one file sync is done: list, compare, guard, fetch. No Django, no Celery, no database of its own."""

"""Celery's shells: parse ids, call one function, log. A test holds `CELERY_INCLUDE` whole."""

"""The roof: settings, environment, Celery, URLs. Nobody imports it but the programs that start here."""

from __future__ import annotations

from syncproject.celery import app as celery_app

__all__ = ["celery_app"]

"""What the benchmark's gunicorn serves: the product with its own settings, and one path more."""

from __future__ import annotations

from django.conf import settings

from syncproject.wsgi import application

settings.ROOT_URLCONF = "benchmarks.surfaces.urls"

__all__ = ["application"]

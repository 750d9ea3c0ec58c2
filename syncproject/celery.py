"""The Celery application that workers, beat and Flower start with `-A syncproject`."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")

app = Celery("syncproject")
app.config_from_object("django.conf:settings", namespace="CELERY")

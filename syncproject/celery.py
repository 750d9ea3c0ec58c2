"""The Celery application that workers, beat and Flower start with `-A syncproject`."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")

# By alias, because a transport that is named in the settings would stand in every address that is shown.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.transport:Transport"))
app = Celery("syncproject")
app.config_from_object("django.conf:settings", namespace="CELERY")

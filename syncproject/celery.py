"""The Celery application that workers, beat and Flower start with `-A syncproject`."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import task_prerun
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
# Celery would run Django's checks and drop what they find; a worker would import the whole web for it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# By alias, because a transport that is named in the settings would stand in every address that is shown.
TRANSPORT_ALIASES.update(dict.fromkeys(("redis", "rediss"), "tasks.transport:BrokerTransport"))
app = Celery("syncproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Else Celery opens a session with PostgreSQL for each bell, which costs more than the bell's work.
app.conf["CELERY_DB_REUSE_MAX"] = 1_000_000


@task_prerun.connect  # type: ignore[untyped-decorator]
def check_database(**_: Any) -> None:
    """Before each task, a thread's session is closed where it is too old or has failed (CONN_MAX_AGE,
    CONN_HEALTH_CHECKS)."""
    from django.db import close_old_connections

    close_old_connections()

"""Queue `alerts`: one message says that messages of alerts are due."""

from __future__ import annotations

import threading
from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_ready

from alerts.sending.office import prepare_courier, send_in_this_process
from syncjobs.upkeep.workers import this_worker
from tasks.bells import SEND_ALERTS
from tasks.queues import ALERTS


@shared_task(name=SEND_ALERTS)  # type: ignore[untyped-decorator]
def send_what_is_due() -> None:
    """Until nothing is due; one thread of the process at a time."""
    heart = this_worker().heart
    send_in_this_process(lambda: heart.draining)


@worker_ready.connect  # type: ignore[untyped-decorator]
def start_courier(**_: Any) -> None:
    """The first message waits for no child to start."""
    if ALERTS in current_app.amqp.queues.consume_from:
        threading.Thread(target=prepare_courier, name="warm up courier", daemon=True).start()

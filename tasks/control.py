"""Queue `control`: each chore is a task."""

from __future__ import annotations

from celery import shared_task

from connectors.monitoring import check_due
from tasks.bells import WATCH
from tasks.chores import CHORES

for _chore in CHORES:
    shared_task(_chore.run, name=_chore.task)


@shared_task(name=WATCH)  # type: ignore[untyped-decorator]
def check_far_ends() -> None:
    """Checks the far ends whose check is due."""
    check_due()

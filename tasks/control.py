"""Queue `control`: each chore is a task."""

from __future__ import annotations

from celery import shared_task

from tasks.chores import CHORES

for _chore in CHORES:
    shared_task(_chore.run, name=_chore.task)

"""Keeps answers for a day, for clients that send a request again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from workspaces.models import KeptAnswer

KEPT_FOR = timedelta(days=1)


def find_answer(pk: str) -> KeptAnswer | None:
    """Returns None also if its day is over."""
    return KeptAnswer.objects.filter(pk=pk, at__gt=Now() - KEPT_FOR).first()


def keep_answer(pk: str, request: str, status: int, body: Any) -> None:
    KeptAnswer.objects.update_or_create(
        pk=pk, defaults={"request": request, "status": status, "body": body, "at": Now()}
    )


def drop_old_answers() -> int:
    """Deletes answers that are older than a day; returns their count."""
    return KeptAnswer.objects.filter(at__lte=Now() - KEPT_FOR).delete()[0]

"""A herd after a quiet hour: the planner still believes that nothing is due and nothing waits, and what it makes of
that must not look at every row for every row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from syncjobs.models import SyncJob
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.ringing import take_unrung
from tests.scale.jobs import make_many_jobs

pytestmark = pytest.mark.django_db(transaction=True)
HERD = 2_000
ROWS_FOR_EACH = 60  # of all steps of a plan; a look at all for each of them would be 2,000


def test_a_herd_after_a_quiet_hour_is_looked_at_job_by_job(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = replace(settings.SYNC, batch_size=0, max_per_host=0)
    monkeypatch.setattr(settings, "SYNC", unlimited)
    make_many_jobs(HERD, prefix="herd", fields=lambda number: {"schedule": {"every_s": 3600}})
    due = timezone.now()
    SyncJob.objects.update(next_run_at=due + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    SyncJob.objects.update(next_run_at=due)
    looked_at: dict[str, int] = {}
    with transaction.atomic(), connection.execute_wrapper(explaining(looked_at)):
        assert dispatch_due(HERD).queued == HERD
        assert len(take_unrung(HERD)) == HERD
    assert len(looked_at) >= 4
    assert {sql: rows for sql, rows in looked_at.items() if rows > ROWS_FOR_EACH * HERD} == {}


def explaining(looked_at: dict[str, int]) -> Callable[..., Any]:
    """Runs each statement twice, and notes at how many rows the steps of its plan have looked."""

    def execute(run: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.split(maxsplit=1)[0] in ("WITH", "SELECT", "INSERT", "UPDATE", "DELETE"):
            with transaction.atomic():
                run(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params, many, context)
                (plans,) = context["cursor"].fetchone()
                looked_at[sql] = rows_of(plans[0]["Plan"])
                transaction.set_rollback(True)
        return run(sql, params, many, context)

    return execute


def rows_of(step: dict[str, Any]) -> int:
    passed_over = sum(step.get(f"Rows Removed by {by}", 0) for by in ("Filter", "Join Filter"))
    own = (step["Actual Rows"] + passed_over) * step["Actual Loops"]
    return int(own) + sum(rows_of(below) for below in step.get("Plans", ()))

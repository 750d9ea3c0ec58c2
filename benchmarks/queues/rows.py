"""Many queued records at once, written by SQL: making them is not what is measured."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection

from connectors.models import Connector
from workspaces.models import Workspace

_JOBS = """
WITH made AS (
  INSERT INTO datasets_dataset (id, workspace_id, name, fencing_token, created_at)
  SELECT gen_random_uuid(), %(workspace)s, 'bench-' || n, 0, now() FROM generate_series(1, %(jobs)s) n
  RETURNING id, name)
INSERT INTO syncjobs_syncjob (id, workspace_id, connector_id, dataset_id, name, include, exclude, filters,
    extensions, sync_mode, comparison, on_delete, after_publish, move_to, schedule, done_pattern, settle_s,
    max_attempts, enabled, failures_in_a_row, paused_reason, is_default, last_error, created_at, updated_at)
SELECT gen_random_uuid(), %(workspace)s, %(connector)s, made.id, made.name, '{}', '{}', '{}', '{}',
       'incremental', 'modified', 'keep_version', 'keep', '', '{}', '', 0, 3, true, 0, '', false, '',
       now(), now() FROM made
"""

_RECORDS = """
INSERT INTO syncjobs_syncrecord (id, workspace_id, job_id, connector_id, address, trigger, mode, dry_run,
    state, queued_at, {zeros}, {texts})
SELECT gen_random_uuid(), j.workspace_id, j.id, j.connector_id, %(address)s, 'manual', 'incremental',
       %(times)s > 1, 'queued', now() - make_interval(secs => random() * 60), {zero_values}, {text_values}
  FROM syncjobs_syncjob j CROSS JOIN generate_series(1, %(times)s)
 WHERE j.workspace_id = ANY(%(workspaces)s)
RETURNING id
"""

_ZEROS = (
    "percentage", "current_file_index", "files_added", "files_changed", "files_removed", "files_unchanged",
    "files_failed", "files_skipped", "files_deferred", "bytes_transferred", "attempt", "vain_attempts",
    "crash_count", "token", "files_cleared", "files_left",
)  # fmt: skip
_TEXTS = (
    "verdict", "stage", "requested_by", "cancel_asked_by", "warning", "waiting_for", "error_code", "error",
)  # fmt: skip


def queue_records(*, workspaces: int, jobs: int, times: int = 1) -> list[uuid.UUID]:
    """`jobs` jobs in each of some workspaces, and so many queued records of each. More than one of a job
    are dry runs, because a job has one other queued record at most."""
    made = []
    for number in range(workspaces):
        workspace = Workspace.objects.create(name=f"bench-{uuid.uuid4().hex[:12]}")
        connector = Connector.objects.create(
            workspace=workspace, name="host", kind="sftp", host="192.0.2.1", port=22 + number
        )
        made.append(workspace.pk)
        _execute(_JOBS, {"workspace": workspace.pk, "connector": connector.pk, "jobs": jobs})
    statement = _RECORDS.format(
        zeros=", ".join((*_ZEROS, "guards_waived")),
        zero_values=", ".join(("0",) * len(_ZEROS) + ("false",)),
        texts=", ".join(_TEXTS),
        text_values=", ".join(("''",) * len(_TEXTS)),
    )
    found = _execute(
        statement, {"address": "192.0.2.1:22", "times": times, "workspaces": made}, fetch=True
    )
    _execute("ANALYZE syncjobs_syncrecord", {})
    return [row[0] for row in found]


def _execute(statement: str, parameters: dict[str, Any], *, fetch: bool = False) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(statement, parameters)
        return cursor.fetchall() if fetch else []

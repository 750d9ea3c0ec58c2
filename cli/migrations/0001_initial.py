"""The views by which operators watch the platform with SQL (docs/sql.md). They show no secret, and no option of a far end."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

VIEWS = """
CREATE SCHEMA monitoring;

CREATE VIEW monitoring.connectors AS
SELECT w.name AS workspace, c.id, c.name, c.kind AS type,
       CASE WHEN EXISTS (SELECT FROM syncjobs_syncrecord r
                          WHERE r.connector_id = c.id AND r.state = 'running' AND NOT r.dry_run)
            THEN 'SYNCING' ELSE upper(c.status) END AS status,
       c.auto_sync, c.sync_interval_s AS sync_interval, c.last_sync_at, c.last_attempt_at,
       nullif(upper(c.last_sync_status), '') AS last_sync_status,
       nullif(c.last_sync_error, '') AS last_sync_error, c.created_at
  FROM connectors_connector c JOIN workspaces_workspace w ON w.id = c.workspace_id;

CREATE VIEW monitoring.connector_syncs AS
SELECT w.name AS workspace, r.id, r.connector_id, r.job_id, j.name AS job,
       CASE r.state WHEN 'running' THEN 'IN_PROGRESS' WHEN 'timed_out' THEN 'FAILED' ELSE upper(r.state) END AS status,
       r.state, r.trigger, r.attempt, r.percentage,
       coalesce(r.rows_read, r.files_added + r.files_changed + r.files_unchanged + r.files_failed) AS records_fetched,
       coalesce(r.rows_read - coalesce(r.rows_failed, 0), r.files_added + r.files_changed + r.files_unchanged)
         AS records_processed,
       r.bytes_transferred, r.queued_at, r.started_at, r.finished_at AS completed_at, r.worked_s AS duration_s,
       r.dataset_version, nullif(r.error_code, '') AS error_code, nullif(r.error, '') AS error,
       nullif(r.waiting_for, '') AS waiting_for
  FROM syncjobs_syncrecord r
  JOIN syncjobs_syncjob j ON j.id = r.job_id
  JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE NOT r.dry_run;

CREATE VIEW monitoring.sync_jobs AS
SELECT w.name AS workspace, j.id, j.name, c.name AS data_source, d.name AS dataset, j.sync_mode, j.schedule, j.enabled,
       nullif(j.paused_reason, '') AS paused_reason, j.next_run_at, j.last_run_at, j.last_success_at,
       nullif(j.last_error, '') AS last_error, j.failures_in_a_row
  FROM syncjobs_syncjob j
  JOIN workspaces_workspace w ON w.id = j.workspace_id
  JOIN datasets_dataset d ON d.id = j.dataset_id
  LEFT JOIN connectors_connector c ON c.id = j.connector_id;

CREATE VIEW monitoring.worker_locks AS
SELECT NULL::text AS workspace, p.name AS worker, p.part, p.host, p.slots, p.running, p.draining,
       p.started_at AS acquired_at, p.seen_at AS heartbeat_at
  FROM syncjobs_processsign p;

CREATE VIEW monitoring.job_execution_locks AS
SELECT w.name AS workspace, r.job_id, j.name AS job, r.id AS record_id, r.lease_owner AS worker, r.token,
       r.claimed_at AS acquired_at, r.heartbeat_at, r.lease_expires_at AS expires_at
  FROM syncjobs_syncrecord r
  JOIN syncjobs_syncjob j ON j.id = r.job_id
  JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE r.state = 'running';
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("workspaces", "0001_initial"),
        ("connectors", "0001_initial"),
        ("datasets", "0001_initial"),
        ("syncjobs", "0001_initial"),
    ]
    operations: ClassVar[list[migrations.RunSQL]] = [
        migrations.RunSQL(VIEWS, "DROP SCHEMA monitoring CASCADE")
    ]

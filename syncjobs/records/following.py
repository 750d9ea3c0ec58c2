"""Acts when a record has ended: starts the jobs that run after its job, and the interval that counts from its end.

One small statement for each record. The job itself is locked first, where it is changed. Followers are locked before
their marks, in the order of their ids, as the dispatcher does it: two parents that end at the same moment wait for each
other, and neither is missed.
"""

from __future__ import annotations

import uuid

from django.db import connection

from syncjobs.core.states import State

_TELL = """
WITH own AS MATERIALIZED (
    SELECT id FROM syncjobs_syncjob WHERE id = %(job)s AND schedule ->> 'counted_from' = 'end' FOR NO KEY UPDATE),
followers AS MATERIALIZED (
    SELECT j.id FROM syncjobs_syncjob j JOIN syncjobs_dependency d ON d.job_id = j.id
     WHERE d.parent_id = %(job)s AND (SELECT count(*) FROM own) >= 0 ORDER BY j.id FOR NO KEY UPDATE OF j),
told AS (
    UPDATE syncjobs_dependency d SET record_id = %(record)s, state = %(state)s, ended_at = now()
      FROM followers f WHERE d.parent_id = %(job)s AND d.job_id = f.id)
UPDATE syncjobs_syncjob j
   SET next_run_at = CASE WHEN j.id = %(job)s
         THEN now() + make_interval(secs => (j.schedule ->> 'every_s')::float) ELSE now() END
 WHERE j.enabled AND j.paused_at IS NULL
   AND (j.id IN (SELECT id FROM followers)
        OR j.id IN (SELECT id FROM own))
"""


def tell_followers(job_id: uuid.UUID, record_id: uuid.UUID, state: State) -> None:
    """Call it in the transaction that ends the record."""
    with connection.cursor() as cursor:
        cursor.execute(_TELL, {"job": job_id, "record": record_id, "state": state})

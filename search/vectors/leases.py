"""The lease of a dataset's index: one works on it at a time, and who lost it writes no more.

A lease is taken by compare-and-set on the token. It is renewed between batches and while a service is waited for. Each
transaction of the work writes through `fence`, which locks the row and compares the token first.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

LEASE_S = 20.0
RENEW_S = 5.0

_CLAIM = """
UPDATE search_datasetindex
   SET token = token + 1, owner = %(owner)s, leased_until = now() + make_interval(secs => %(lease_s)s)
 WHERE dataset_id = %(dataset)s
   AND (%(takes_over)s OR leased_until IS NULL OR leased_until < now())
RETURNING workspace_id, token
"""
_RENEW = """
UPDATE search_datasetindex
   SET leased_until = now() + make_interval(secs => %(lease_s)s),
       pending_chunks = greatest(0, pending_chunks - %(settled)s)
 WHERE dataset_id = %(dataset)s AND token = %(token)s
"""
_RELEASE = """
UPDATE search_datasetindex SET owner = '', leased_until = NULL WHERE dataset_id = %s AND token = %s
"""


class IndexFenced(Exception):
    """Somebody else works on this index now."""


@dataclass(slots=True)
class IndexLease:
    """The right to work on the index of one dataset."""

    dataset_id: uuid.UUID
    workspace_id: uuid.UUID
    token: int
    renewed_at: float = field(default_factory=time.monotonic)

    def fence(self, settled: int = 0) -> None:
        """Renews the lease in the caller's transaction, which holds the row from here on: end it then, because publishers
        wait for this row. `settled` chunks want no vector any more. Raises IndexFenced."""
        with connection.cursor() as cursor:
            cursor.execute(_RENEW, self._parameters() | {"settled": settled})
            if cursor.rowcount == 0:
                raise IndexFenced(f"the index of dataset {self.dataset_id} is worked on elsewhere")
        self.renewed_at = time.monotonic()

    def renew_when_due(self) -> None:
        """Call it often, outside of transactions. Raises IndexFenced."""
        if time.monotonic() - self.renewed_at >= RENEW_S:
            self.fence()

    def release(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [self.dataset_id, self.token])

    def _parameters(self) -> dict[str, Any]:
        return {"dataset": self.dataset_id, "token": self.token, "lease_s": LEASE_S}


def claim_index(
    dataset_id: uuid.UUID, owner: str, *, takes_over: bool = False
) -> IndexLease | None:
    """None where another has the lease, or the dataset has no index. `takes_over`: whoever has it loses it."""
    told: dict[str, Any] = {
        "dataset": dataset_id,
        "owner": owner[:100],
        "lease_s": LEASE_S,
        "takes_over": takes_over,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, told)
        row = cursor.fetchone()
    return None if row is None else IndexLease(dataset_id, row[0], row[1])

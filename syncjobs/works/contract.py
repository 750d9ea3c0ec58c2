"""What a kind of work is: it runs under a lease, and says with which event its attempt ends.

The attempt claims, watches and finishes, and knows nothing of what is done meanwhile. A work knows
nothing of claims, states and retries.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any, Protocol

from datasets.models import DatasetKind
from syncjobs.core.deadlines import Allowance
from syncjobs.core.states import Event
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncRecord


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a record, until the lease ends or a higher token exists."""

    record_id: uuid.UUID
    dataset_id: uuid.UUID
    token: int
    owner: str

    @property
    def key(self) -> uuid.UUID:
        return self.record_id

    @property
    def session_name(self) -> str:
        return session_name(self.record_id, self.token)

    @property
    def attempt_name(self) -> str:
        """Names this attempt's partial files, apart from every other attempt's."""
        return f"{self.record_id.hex}.{self.token}"


def session_name(record_id: uuid.UUID, token: int) -> str:
    """What the database calls an attempt's session, so that others can end it."""
    return f"sync {record_id.hex}.{token}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a work is given: the record with its job, connector and workspace, the right to work on it,
    and how long it may take. Its progress is told through `lease.progress`."""

    record: SyncRecord
    claim: Claim
    lease: Lease
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class Ending:
    """The event that an attempt ends with, and what it writes: columns of the record, and what the
    event keeps."""

    event: Event
    reason: str
    changes: dict[str, Any]
    data: dict[str, Any]

    def with_evidence(self, data: dict[str, Any], **changes: Any) -> Ending:
        return replace(self, data=self.data | data, changes=self.changes | changes)


def end(event: Event, reason: str, **changes: Any) -> Ending:
    return Ending(event, reason, changes, {})


class Failed(Exception):
    """The work failed for a reason of its own kind; the attempt decides whether it is tried again.

    `waits`: only time helps, so that a further try costs no attempt. `got_further`: whether what was done is there for the next try; None: as the progress says.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        waits: bool = False,
        got_further: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.waits = waits
        self.got_further = got_further


class Work(Protocol):
    """One kind of work. Its instance is shared by all threads, so it keeps nothing of an attempt."""

    dataset_kind: DatasetKind  # of what its jobs fill

    def run(self, assignment: Assignment) -> Ending:
        """Does the work, asking the lease between its steps.

        Lets a Stop, Fenced and a lost database pass, as well as errors of the far end; raises Failed for
        its own.
        """
        ...

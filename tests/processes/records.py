"""Records that real workers have in hand: slow enough to be hurt, waited for by their rows."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord
from tests.hosts.sshd import Sshd
from tests.proxy import Proxy
from tests.rows import fill, fresh, make_connector, make_job
from tests.waiting import until

FILES = {f"{n:03}.bin": os.urandom(20_000) for n in range(150)}
SLOW = 150_000  # bytes a second: the whole takes 20 s


def slow_job(sshd: Sshd, source: Path, proxy: Proxy) -> SyncJob:
    fill(source, FILES)
    target = dataclasses.replace(sshd.target(source), port=proxy.port)
    return make_job(make_connector(target))


def until_fetching(record: SyncRecord) -> SyncRecord:
    until(
        lambda: fresh(record).state == State.RUNNING and record.bytes_transferred > 100_000,
        "the record did not come to fetching",
    )
    return record


def until_final(record: SyncRecord, *, within_s: float = 60) -> SyncRecord:
    until(lambda: fresh(record).state in FINAL, "the record did not end", within_s=within_s)
    return record


def owner_pid(record: SyncRecord) -> int:
    assert record.lease_owner is not None
    return int(record.lease_owner.split(":")[1])


def events_of(record: SyncRecord) -> list[str]:
    return [event.event for event in record.events.order_by("id")]

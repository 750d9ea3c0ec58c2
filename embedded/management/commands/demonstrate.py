"""`demonstrate`: the sample hosts, synced by schedule, then once more; and readings that reach a client system
through an outage, and tables filled: what `make demo` shows.

The stack starts it once everything is up; the sample hosts' addresses come in the environment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from django.core.management.base import CommandError

from cli.chores import DEMO
from cli.command import Command as DatabaseCommand
from cli.records import describe_record
from embedded.samples import filling, searching, sending
from syncjobs.configuration.jobs import save_job
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import AlreadyQueued
from syncjobs.queueing.requesting import request_sync

Found = TypeVar("Found")
PATIENCE_S = 120.0
LOOK_S = 0.1
EVERY_S = 300


class Command(DatabaseCommand):
    help = "Sync the sample hosts of `make demo`, twice, send readings to its client system, and print what came of it."

    def run(self, *args: object, **options: Any) -> None:
        apply_configuration(samples())
        jobs = [filling.find_job(f"{host}-files") for host in ("sample-http", "sample-sftp")]
        self.stdout.write()
        self.stdout.write("Due by schedule, dispatched by beat, done by a worker:")
        first = [self._await(self._scheduled(job)) for job in jobs]
        self.stdout.write()
        self.stdout.write("The same jobs again: nothing changed, so no new version:")
        again = [self._await(_on_demand(job)) for job in jobs]
        versions = [record.dataset_version for record in first]
        if [record.dataset_version for record in again] != versions:
            raise CommandError("the second run wrote a new version of an unchanged source")
        if any(record.state != State.SUCCEEDED for record in first + again):
            sys.exit(1)
        self._send_readings()
        self._fill_tables()
        self._search()

    def _search(self) -> None:
        """Raises CommandError where what was synced is not found."""
        self.stdout.write()
        self.stdout.write(f"Search over both hosts for {searching.QUERY}:")
        hits = _until(searching.search_samples, "the files of both hosts are not found")
        searching.tell_hits(hits, self.stdout.write)

    def _send_readings(self) -> None:
        """Raises CommandError where a reading did not come, or came twice."""
        self.stdout.write()
        self.stdout.write("Readings for a client system, through an outage:")
        try:
            told = sending.make_shown(self.stdout.write)
        except TimeoutError as exc:
            raise CommandError(str(exc)) from None
        if told.received != told.sent or told.doubled:
            raise CommandError("not every reading came, or one came twice")

    def _fill_tables(self) -> None:
        """Raises CommandError where a table is not what its source has."""
        self.stdout.write()
        self.stdout.write(
            "Tables: customers of an API, and orders out of the CSV files that came over SFTP:"
        )
        apply_configuration(filling.table_samples())
        for name in (filling.CUSTOMERS_JOB, filling.ORDERS_JOB):
            job = filling.find_job(name)
            # A job that follows a dataset has read it by itself.
            first = (
                SyncRecord.objects.filter(job=job)
                .select_related("job")
                .order_by("queued_at")
                .first()
            )
            if self._await(first or _on_demand(job)).state != State.SUCCEEDED:
                sys.exit(1)
            filled = filling.ask_table(job, self.stdout.write)
            if filled.rows != filled.expected:
                raise CommandError(
                    f"{name}: {filled.rows} rows, and the source has {filled.expected}"
                )

    def _scheduled(self, job: SyncJob) -> SyncRecord:
        """The record of this job's next fire: a job that rested is due when it is switched on."""
        since = SyncRecord.objects.filter(job=job, trigger=Trigger.SCHEDULE).count()
        job.enabled = True
        save_job(job)
        return _until(
            lambda: (
                SyncRecord.objects.filter(job=job, trigger=Trigger.SCHEDULE)
                .order_by("queued_at")
                .select_related("job")[since:]
                .first()
            ),
            f"beat dispatched no record of {job.name}",
        )

    def _await(self, record: SyncRecord) -> SyncRecord:
        def ended() -> SyncRecord | None:
            record.refresh_from_db()
            return record if record.state in FINAL or record.state == State.HELD else None

        _until(ended, f"record {record.pk} of {record.job.name} did not end")
        self.stdout.write(describe_record(record))
        return record


def _on_demand(job: SyncJob) -> SyncRecord:
    try:
        return request_sync(job, by="demo")
    except AlreadyQueued as exc:
        return exc.record


def _until(look: Callable[[], Found | None], complaint: str) -> Found:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(LOOK_S)
    raise CommandError(f"{complaint} within {PATIENCE_S:.0f} s; the logs are in var/log")


def samples() -> dict[str, Any]:
    """The configuration of the sample hosts, in the form of a YAML document."""
    key = Path(os.environ["DEMO_SFTP_KEY_FILE"]).read_text(encoding="utf-8")
    connectors = [
        {
            "name": "sample-sftp",
            "kind": "sftp",
            "host": "127.0.0.1",
            "port": int(os.environ["DEMO_SFTP_PORT"]),
            "options": {
                "username": "sample",
                "root": "/",
                "host_key": os.environ["DEMO_SFTP_HOST_KEY"],
            },
            "secret": {"private_key": key},
        },
        {
            "name": "sample-http",
            "kind": "http",
            "host": "127.0.0.1",
            "port": int(os.environ["DEMO_HTTP_PORT"]),
            "options": {"root": "/"},
        },
    ]
    jobs = [
        {
            "name": f"{connector['name']}-files",
            "connector": connector["name"],
            "schedule": {"every_s": EVERY_S},
            "enabled": False,  # until it is shown
        }
        for connector in connectors
    ]
    return {"workspaces": [{"name": DEMO, "connectors": connectors, "sync_jobs": jobs}]}

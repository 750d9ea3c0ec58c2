"""Flower itself, beside a real worker, shows how each record ended, at which attempt, and whose it was."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from embedded import ports, programs
from embedded.child import Child
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tasks.bells import TASK, ring_waiting
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.rows import fill, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
PASSWORD = "right"


class Flower:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Any:
        answer = requests.get(f"{self._url}{path}", auth=("admin", PASSWORD), timeout=60)
        answer.raise_for_status()
        return answer

    def find_task(self, record: SyncRecord) -> dict[str, Any] | None:
        """The task of a record, by what Flower shows of its arguments, when it is over."""
        tasks: dict[str, dict[str, Any]] = self.get("/api/tasks").json()
        over = [
            task
            for task in tasks.values()
            if task["name"] == TASK
            and str(record.pk) in task["args"]
            and task["state"] in ("SUCCESS", "FAILURE", "RETRY")
        ]
        return over[0] if over else None


@pytest.fixture
def flower(tmp_path: Path) -> Iterator[Flower]:
    port = ports.find_free()
    child = Child(programs.flower({**os.environ}, tmp_path, port, PASSWORD))
    child.start()
    try:
        child.wait_until_ready()
        yield Flower(port)
    finally:
        child.stop()


def until_shown(flower: Flower, record: SyncRecord) -> dict[str, Any]:
    found = until(lambda: flower.find_task(record), "Flower does not show the task", within_s=60)
    assert found is not None
    return found


def test_item_06_flower_shows_how_each_record_ended(
    start: Start, sshd: Sshd, source: Path, flower: Flower
) -> None:
    fill(source, {"a.txt": b"hello"})
    good = make_job(make_connector(sshd.target(source)), name="good")
    lost = make_job(make_connector(sshd.target(source / "not-there")), name="lost")
    nobody = dataclasses.replace(sshd.target(source), port=ports.find_free())
    away = make_job(make_connector(nobody), name="away")
    start("telling")

    def ask(job: SyncJob) -> SyncRecord:
        return enqueue(SyncJob.objects.get(pk=job.pk), trigger=Trigger.MANUAL)

    records = {job.name: ask(job) for job in (good, lost, away)}
    assert ring_waiting() == 3
    until_final(records["good"])
    until_final(records["lost"])
    until(
        lambda: fresh(records["away"]).state == State.QUEUED and records["away"].error != "",
        "the record without a host was not tried",
    )
    shown = {name: until_shown(flower, record) for name, record in records.items()}
    assert {name: task["state"] for name, task in shown.items()} == {
        "good": "SUCCESS",
        "lost": "FAILURE",
        "away": "RETRY",
    }
    for name, record in records.items():
        told = shown[name]
        assert told["args"] == f"{record.pk} of job {name}, workspace acme"
        words = told["result"] if name == "good" else told["exception"]
        assert f"at attempt 1, job {name} of acme" in words
    assert "root_missing" in shown["lost"]["exception"]
    # One message each: nothing was sent again, and no result is kept.
    assert ring_waiting() == 0
    page = flower.get(f"/task/{shown['lost']['uuid']}").text
    assert "root_missing" in page
    assert str(records["lost"].pk) in page

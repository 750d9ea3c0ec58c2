"""Hostile documents among good ones, synced by a real worker: each is told, and hurts nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client

from search.core.wishes import IndexWish
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.processes.test_index_worker import children_of
from tests.rows import fill, fresh, make_connector, make_job
from tests.search.documents import GOOD, HOSTILE, LOCKED, make_pages_pdf
from tests.search.reading_batch import memory_kib
from tests.waiting import until
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

WORKER_KIB_MAX = 80 << 10
CHILD_KIB_MAX = 300 << 10


class Watch:
    """Looks at the memory of the worker's children until the record ends."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.child_kib = 0

    def is_final(self, record: SyncRecord) -> bool:
        for pid, words in children_of(self.pid):
            if "search.extracting.child" in words:
                self.child_kib = max(self.child_kib, memory_kib(pid, "VmHWM"))
        return fresh(record).state in FINAL


@pytest.mark.timeout(1_800)
def test_a15_hostile_documents_are_told_one_by_one_and_the_record_succeeds(
    start: Start, sshd: Sshd, source: Path, client: Client
) -> None:
    fill(source, {name: make() for name, make in GOOD.items()})
    job = make_job(make_connector(sshd.target(source)), index=IndexWish.WORDS)
    worker = start("worker")
    start("beat")
    until_final(enqueue(job, trigger=Trigger.MANUAL))  # all that is loaded once
    pid = worker.popen.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before_kib = memory_kib(pid, "VmRSS")

    hostile = {name: make() for name, (make, _) in HOSTILE.items()}
    hostile["pages.pdf"] = make_pages_pdf(2_000)
    hostile |= {name: make() for name, make in LOCKED.items()}
    fill(source, {f"new/{name}": content for name, content in hostile.items()})
    fill(source, {f"zz/{name}": make() + b"\n" for name, make in GOOD.items()})
    watch = Watch(pid)
    record = enqueue(job, trigger=Trigger.MANUAL)
    until(lambda: watch.is_final(record), "the record did not end", within_s=400)

    assert (record.state, record.warning) == (State.SUCCEEDED, "")
    assert worker.popen.poll() is None
    assert memory_kib(pid, "VmHWM") - before_kib <= WORKER_KIB_MAX
    assert 0 < watch.child_kib <= CHILD_KIB_MAX
    assert list(children_of(pid)) == []

    troubles = ask(client, record, f"datasets/{job.dataset.name}/index/troubles?limit=100")
    found = {one["path"].removeprefix("new/"): one["code"] for one in troubles["items"]}
    expected = {name: codes for name, (_, codes) in HOSTILE.items() if "" not in codes}
    assert {name for name in expected if found.get(name) not in expected[name]} == set(), found
    assert {found.get(name) for name in LOCKED} == {"encrypted"}
    assert not {path for path in found if path.startswith("zz/")}
    hits = ask(client, record, "search?q=needle&prefix=zz/&limit=100")
    assert {hit["path"].removeprefix("zz/") for hit in hits["items"]} == set(GOOD)


def ask(client: Client, record: SyncRecord, path: str) -> dict[str, list[dict[str, str]]]:
    workspace = record.job.workspace
    token = create_token(workspace, name=path[:20], role=Role.VIEWER)[1]
    answer = client.get(
        f"/api/workspaces/{workspace.name}/{path}", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200, answer.content
    told: dict[str, list[dict[str, str]]] = answer.json()
    return told

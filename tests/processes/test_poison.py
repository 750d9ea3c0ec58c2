"""Messages that are none: refused, told in the log, and the worker goes on."""

from __future__ import annotations

import json
import os
import pickle
import uuid
from pathlib import Path

import pytest
import redis
from celery import current_app

from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tasks.bells import TASK
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.rows import fill, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

QUEUE = "sync:sync"  # where Redis keeps it: the prefix of the installation, the queue's name
HUGE = 32 << 20


class Toucher:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o755)


def send(body: bytes, *, content_type: str, encoding: str = "utf-8", task: str = TASK) -> None:
    with current_app.connection_for_write() as connection:
        connection.Producer().publish(
            body,
            exchange="",
            routing_key="sync",
            content_type=content_type,
            content_encoding=encoding,
            headers={
                "task": task,
                "id": str(uuid.uuid4()),
                "lang": "py",
                "argsrepr": "",
                "kwargsrepr": "",
            },
        )


def test_q07_poisoned_messages_are_refused_and_the_worker_lives(
    start: Start, sshd: Sshd, source: Path, tmp_path: Path, broker: redis.Redis
) -> None:
    fill(source, {"a.txt": b"x"})
    made = tmp_path / "made by a message"
    payload = pickle.dumps(([Toucher(made)], {}, {}))
    pickle.loads(payload)  # noqa: S301 — what it would do in a worker that took it
    made.rmdir()
    worker = start("worker")

    for words in (
        ["no uuid"],
        [None],
        [],
        ["x"] * 5,
        [{"a": 1}],
        [str(uuid.uuid4())],
        ["x" * HUGE],
    ):
        send(json.dumps([words, {}, {}]).encode(), content_type="application/json")
    send(json.dumps([[], {"unknown": 1}, {}]).encode(), content_type="application/json")
    send(json.dumps({"no": "list"}).encode(), content_type="application/json")
    send(b"{ no json", content_type="application/json")
    send(b"[[],{},{}]", content_type="application/json", task="os.system")
    send(payload, content_type="application/x-python-serialize", encoding="binary")
    send(payload, content_type="application/json", encoding="binary")
    for raw in (payload, b"\xff\xfe", b"no json", b"[]", b"null", b'{"body": 5}', b"{}"):
        broker.lpush(QUEUE, raw)

    until(lambda: broker.llen(QUEUE) == 0, "the worker stands still")
    start("beat")
    record = enqueue(make_job(make_connector(sshd.target(source))), trigger=Trigger.MANUAL)
    assert until_final(record).state == State.SUCCEEDED
    assert worker.popen.poll() is None
    assert not made.exists()
    assert SyncRecord.objects.count() == 1
    assert "Received unregistered task" in worker.log.read_text()
    assert worker.log.stat().st_size < HUGE / 8

"""The OpenAPI document is true: what it allows is taken, what it forbids refused, and every answer is as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pydantic import BaseModel
from pytest_django.live_server_helper import LiveServer

from connectors.models import Connector
from embedded.child import PROJECT
from syncjobs.models import ItemAction, SyncItem, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.backfilling import request_backfill
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.hosts.sshd import Sshd
from tests.outbox.rows import make_stream
from tests.rows import make_connector, make_job, make_version, make_workspace
from workspaces.models import Member, Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)

CONFIG = """
[parameters]
workspace = "acme"
job = "nightly"
connector = "host-0"
dataset = "nightly"
number = 1
path = "a.txt"
stream = "meters"
rule = "nightly"
channel = "ops"
alert_id = "{alert_id}"
record_id = "{record_id}"
backfill_id = "{backfill_id}"
# The run takes from lists what it then deletes: not the token that it goes by.
token = "{another_token}"
member = "grace"

# What is changed, renamed and deleted is not what the others are asked of.
[[operations]]
include-method = ["PUT", "PATCH", "DELETE"]
parameters = {connector = "moving", job = "moving", stream = "moving", rule = "moving", channel = "moving"}

# Stands in tests/api/schema_checks.py, with what no schema can say.
[checks.positive_data_acceptance]
enabled = false
# 412, 416: a condition that does not hold, a range beyond the file. 422: an Idempotency-Key of another request.
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 412, 416, 422, 429]
"""

SHORT = ["--phases=examples,fuzzing", "--max-examples=5"]
THOROUGH = ["--max-examples=100"]  # in all phases


@pytest.fixture
def token(sshd: Sshd, source: Path) -> str:
    """The far end answers: what it is asked is not refused for being away."""
    target = sshd.target(source)
    host = make_connector(target)
    moving = make_connector(target)
    Connector.objects.filter(pk=moving.pk).update(name="moving")
    make_job(host, name="moving")
    job = make_job(host, name="nightly", schedule={"every_s": 3600})
    make_version(job.dataset, {"a.txt": b"held", "b.txt": b""})
    for name in ("meters", "moving"):
        make_stream(name=name)
    for name in ("ops", "moving"):
        make_channel(name)
    return create_token(make_workspace(), name="ci", role=Role.ADMIN)[1]


def run_in_vain() -> SyncRecord:
    """A record that has ended, with what it did."""
    record = enqueue(SyncJob.objects.get(name="nightly"), trigger=Trigger.MANUAL)
    SyncItem.objects.create(record=record, path="a.txt", action=ItemAction.FAILED)
    cancel(record.pk, by="a person")
    return record


@pytest.mark.timeout(3_600)
def test_item_11_every_answer_is_as_the_document_says(
    token: str, live_server: LiveServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    thorough = pytestconfig.getoption("--thorough")
    Client().get("/api/openapi.json")  # it is made once; the program waits 10 s for it
    config = tmp_path / "schemathesis.toml"
    record = run_in_vain()
    day = record.queued_at - timedelta(days=1)
    backfill = request_backfill(record.job, day, record.queued_at)
    another, _ = create_token(make_workspace(), name="another", role=Role.VIEWER)
    grace = User.objects.create_user("grace", password="x")
    Member.objects.create(workspace=make_workspace(), user=grace, role=Role.VIEWER)
    make_rule("moving")
    config.write_text(
        CONFIG.replace("{record_id}", str(record.pk))
        .replace("{backfill_id}", str(backfill.pk))
        .replace("{alert_id}", str(make_alert(make_rule("nightly")).pk))
        .replace("{another_token}", str(another.pk))
    )
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={config}",
        "run",
        f"{live_server.url}/api/openapi.json",
        f"--header=Authorization: Bearer {token}",
        *(THOROUGH if thorough else SHORT),
        "--seed=1",
        "--no-color",
        "--generation-database=none",
    ]
    env = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.api.schema_checks",
        "PYTHONPATH": str(PROJECT),
    }
    if thorough:
        assert subprocess.run(command, cwd=tmp_path, env=env, check=False).returncode == 0
    else:
        ran = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False
        )
        assert ran.returncode == 0, ran.stdout[-20000:] + ran.stderr[-2000:]


def test_the_document_is_openapi_3_1_and_open_to_read(client: Client) -> None:
    told = client.get("/api/openapi.json").json()
    assert told["openapi"].startswith("3.1")


def test_the_seeds_own_paths_stand_in_it_exactly(client: Client) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert set(paths["/sync"]) == {"post"}
    assert {"/status", "/connections", "/history", "/sync/force"} < set(paths)
    assert "/sync/connection/{connector}" in paths


def test_no_two_shapes_share_a_name() -> None:
    """In the document one would take the other's place."""

    def below(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for one in shape.__subclasses__():
            yield one
            yield from below(one)

    ours = {one for one in below(BaseModel) if one.__module__.startswith("api.")}
    assert len(ours) > 10
    doubled = [name for name, count in Counter(o.__name__ for o in ours).items() if count > 1]
    assert doubled == []

"""The OpenAPI document is true: what it allows is taken, what it forbids refused, and every answer is as it says."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from pydantic import BaseModel
from pytest_django.live_server_helper import LiveServer

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import ItemAction, SyncItem, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.backfilling import request_backfill
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.outbox.rows import make_stream
from tests.rows import make_connector, make_job, make_version, make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)

# Which names exist, which parameters and which scope go with which kind of rule, which schedule fits which job, which windows name a time, which rows lie in quarantine, which options and secrets a kind has, what is past: that is no matter of a schema, and is refused with 400.
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

# An Idempotency-Key that was given with another request is refused with 422.
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429, "5xx"]

[[operations]]
include-operation-id = [
  "api_jobs_create_job", "api_jobs_replace_job", "api_jobs_change_job",
  "api_connectors_create_connector", "api_connectors_replace_connector", "api_connectors_change_connector",
  "api_tokens_make_token", "api_invitations_invite_person", "api_backfills_create_backfill",
  "api_workspace_change_settings", "api_outbox_streams_create_stream", "api_outbox_streams_replace_stream",
  "api_outbox_streams_change_stream", "api_outbox_streams_take_readings",
  "api_outbox_streams_redrive_dead_letters", "api_quarantine_redrive_rows",
  "api_alert_rules_create_rule", "api_alert_rules_replace_rule", "api_alert_rules_change_rule",
  "api_alert_channels_create_channel", "api_alert_channels_replace_channel", "api_alert_channels_change_channel",
  "api_alerts_silence",
]
checks.positive_data_acceptance.enabled = false

# Nor whether a condition holds (412), or a range lies within the file (416).
[[operations]]
include-operation-id = ["api_files_read_file", "api_files_head_file"]
checks.positive_data_acceptance.enabled = false

# Nor which words of an entity go with files alone: a job's `entity` has one shape for all sources.
[[operations]]
include-operation-id = ["api_offered_files_preview_unsaved_files"]
checks.positive_data_acceptance.enabled = false

# A far end that cannot be reached is told with 502.
[[operations]]
include-operation-id = [
  "api_connectors_browse", "api_outbox_streams_reconcile_stream", "api_offers_list_entities",
  "api_offers_preview_entity", "api_offers_preview_unsaved_entity",
  "api_offered_files_list_file_entities", "api_offered_files_preview_file_entity",
  "api_offered_files_preview_unsaved_files",
]
checks.not_a_server_error.enabled = false
"""

SHORT = ["--phases=examples,fuzzing", "--max-examples=5"]
THOROUGH = ["--max-examples=100"]  # in all phases


@pytest.fixture
def token() -> str:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    job = make_job(make_connector(target), name="nightly", schedule={"every_s": 3600})
    make_version(job.dataset, {"a.txt": b"held", "b.txt": b""})
    make_stream(name="meters")
    make_channel("ops")
    return create_token(make_workspace(), name="ci", role=Role.ADMIN)[1]


def run_in_vain() -> SyncRecord:
    """A record that has ended, with what it did."""
    record = enqueue(SyncJob.objects.get(), trigger=Trigger.MANUAL)
    SyncItem.objects.create(record=record, path="a.txt", action=ItemAction.FAILED)
    cancel(record.pk, by="a person")
    return record


@pytest.mark.timeout(3_600)
def test_every_answer_is_as_the_document_says(
    token: str, live_server: LiveServer, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    thorough = pytestconfig.getoption("--thorough")
    Client().get("/api/openapi.json")  # it is made once; the program waits 10 s for it
    config = tmp_path / "schemathesis.toml"
    record = run_in_vain()
    day = record.queued_at - timedelta(days=1)
    backfill = request_backfill(record.job, day, record.queued_at)
    config.write_text(
        CONFIG.replace("{record_id}", str(record.pk))
        .replace("{backfill_id}", str(backfill.pk))
        .replace("{alert_id}", str(make_alert(make_rule("nightly")).pk))
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
    if thorough:
        assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    else:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


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

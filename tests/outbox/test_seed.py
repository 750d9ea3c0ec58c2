"""Each point of the sync service's description: variables, calls and fields; and the page that lists them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from connectors.models import Connector
from connectors.monitoring import check_now
from connectors.opening import make_target
from outbox.client import NoSuchStream, from_env
from outbox.core.readings import ReadingsRefused
from outbox.delivery import deliver
from outbox.figures import read_status
from outbox.first import CONNECTOR, STREAM, InvalidClientUrl, ensure_first_stream
from outbox.intake import take
from outbox.models import Batch, Stream, StreamState, StreamTail
from outbox.rounds import send_round
from syncjobs.leases.heart import Heart
from tests.answering import ROOT
from tests.outbox.hosts import KEY, Receiver, running_receiver, stream_to
from tests.outbox.rows import readings
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)
DOCS = ROOT / "docs"
ROW = re.compile(r"^\| (?!point|---)(.*?) \| .* \| `(\w+/\w+\.py)::(\w+)` \|$", re.MULTILINE)

METHODS = [
    "testConnection",
    "authenticate",
    "uploadBatch",
    "downloadConfig",
    "sendHeartbeat",
    "start",
    "stop",
    "performSync",
    "triggerSync",
    "downloadConfiguration",
    "getStatus",
    "getSyncStats",
    "getConnectivityStatus",
    "isConnected",
    "forceCheck",
    "getUnsynchronizedReadings",
    "deleteSynchronizedReadings",
    "incrementRetryCount",
    "logSyncOperation",
    "deleteOldSynchronizedReadings",
    "deleteOldSyncLogs",
]
STATUS = [
    "isRunning",
    "lastSyncTime",
    "lastSyncSuccess",
    "lastSyncError",
    "queueSize",
    "totalSynced",
    "totalFailed",
    "isClientConnected",
]
CONNECTIVITY = [
    "isConnected",
    "lastCheckTime",
    "lastSuccessfulConnection",
    "lastFailedConnection",
    "consecutiveFailures",
    "uptime",
    "downtime",
]
STATS = ["total_syncs", "successful_syncs", "failed_syncs", "total_readings_synced", "success_rate"]
VARIABLES = [
    "CLIENT_API_URL",
    "CLIENT_API_KEY",
    "API_TIMEOUT",
    "SYNC_INTERVAL_MINUTES",
    "BATCH_SIZE",
    "MAX_RETRIES",
    "ENABLE_AUTO_SYNC",
    "CONNECTIVITY_CHECK_INTERVAL_MS",
]
# Commands, paths and variables of the other documents, as they stand there.
OTHERS = """
`GET /health` `GET /status` `GET /connections` `GET /history` `GET /api-docs` `POST /sync`
`POST /sync/connection/<id>` `POST /sync/force` `SYNC_FREQUENCY` `SYNC_TIME` `MAX_FILE_SIZE_MB` `BATCH_SIZE`
`SUPPORTED_EXTENSIONS` docker-compose test_job.py
`GET /api/connectors/sync` `POST /api/connectors/sync` `CRON_SECRET` `DATABASE_URL` connector:sync
process-connector-syncs.mjs crontab vercel.json connector-sync.yml `autoSync` `syncInterval` `lastSyncAt`
`lastSyncStatus` `lastSyncError` `SYNCING` `recordsFetched` `recordsProcessed` `testConnectorAction`
`GET /api/v1/sync/status` `POST /api/v1/sync/cleanup` `SYNC_BASE_TIMEOUT_SECONDS` `SYNC_PER_FILE_TIMEOUT_SECONDS`
`SYNC_MAX_TIMEOUT_SECONDS` `SYNC_MIN_TIMEOUT_SECONDS` `SYNC_HEARTBEAT_INTERVAL_SECONDS`
`SYNC_CLEANUP_INTERVAL_SECONDS` migrate_sync_operations.sql `heartbeat_at` `expected_duration_seconds`
`progress_stage` `progress_percentage` `total_files_to_process` `current_file_index`
`GET /api/workspaces/:workspaceId/sync-jobs` `POST /api/workspaces/:workspaceId/sync-jobs`
`PUT /api/workspaces/:workspaceId/sync-jobs/:id` `DELETE /api/workspaces/:workspaceId/sync-jobs/:id`
:id/toggle :id/run :id/status worker:dev db.worker_locks.find() db.job_execution_locks.find() db.syncjobs.find(
"""
EVENTS = ["connected", "disconnected", "state-change"]
EXAMPLE = """
// Start sync manager
await syncManager.start();

// Get status
const status = syncManager.getStatus();
console.log('Sync Status:', status);

// Get connectivity status
const connectivity = syncManager.getConnectivityStatus();
console.log('Connectivity:', connectivity);

// Manually trigger sync
await syncManager.triggerSync();

// Download configuration
await syncManager.downloadConfiguration();

// Send heartbeat
await syncManager.sendHeartbeat();

// Get sync statistics
const stats = await syncManager.getSyncStats(24);
console.log('Sync Stats (24h):', stats);

// Stop sync manager
await syncManager.stop();
"""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def to_snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[1].lower(), name)


def translate(example: str) -> str:
    """The same lines in Python."""
    text = example.replace("await ", "").replace("const ", "").replace(";", "").replace("// ", "# ")
    text = text.replace("console.log(", "print(").replace("'", '"')
    return re.sub(r"\bsyncManager\b|(?<=\.)\w+(?=\()", lambda found: to_snake(found[0]), text)


def first_stream(settings: Settings, **variables: Any) -> Stream:
    settings.SYNC = replace(settings.SYNC, **variables)
    made = ensure_first_stream(make_workspace("default"))
    assert made is not None
    return made


def test_no_point_is_left_out_and_each_named_test_exists() -> None:
    page = (DOCS / "seeds.md").read_text()
    rows = ROW.findall(page)
    points = [re.findall(r"`([\w-]+)", point) for point, _, _ in rows]
    named = {words[0] for words in points if words}
    expected = {*METHODS, *STATUS, *CONNECTIVITY, *STATS, *VARIABLES, *EVENTS}
    assert expected - named == set()
    assert len(rows) == page.count("\n| ") - page.count("\n| point |")
    missing = [
        f"{file}::{name}"
        for _, file, name in rows
        if f"def {name}(" not in (ROOT / "tests" / file).read_text()
    ]
    assert missing == []


def test_item_09_commands_paths_and_variables_of_all_documents_are_mapped() -> None:
    points = " ".join(point for point, _, _ in ROW.findall((DOCS / "seeds.md").read_text()))
    wanted = re.findall(r"`[^`]+`|\S+", OTHERS)
    assert [one for one in wanted if one.strip("`") not in points] == []


def test_the_example_is_line_by_line_the_documented_one(
    receiver: Receiver, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    [example, *_] = re.findall(r"```python\n(.*?)```", (DOCS / "outbox.md").read_text(), re.DOTALL)
    assert example.endswith(translate(EXAMPLE))
    url = f"http://127.0.0.1:{receiver.port}"
    stream = first_stream(
        settings,
        client_api_url=url,
        client_api_key=KEY,
        enable_auto_sync=False,
        workspace="default",
    )
    take(stream, readings(1))
    said: dict[str, Any] = {}
    exec(example, said)  # noqa: S102 — our own page
    assert "Sync Status: {'is_running': True" in capsys.readouterr().out
    assert receiver.taken["heartbeats"] == 1
    assert (said["status"]["queue_size"], said["stats"]["hours"]) == (1, 24)
    stream.refresh_from_db()
    assert stream.state == StreamState.STOPPED


def test_a_stream_that_is_not_there_is_told() -> None:
    with pytest.raises(NoSuchStream, match="CLIENT_API_URL"):
        from_env(workspace="nowhere")


def test_readings_that_are_none_are_refused_as_a_whole(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    with pytest.raises(ReadingsRefused):
        from_env(stream.name, stream.workspace.name).add([*readings(1), {"key": ""}])
    assert read_status(stream).queue_size == 0


def test_the_status_has_every_field(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    manager = from_env(stream.name, stream.workspace.name)
    manager.add([*readings(1, 2), {"key": "bad", "payload": {"reject": "no such meter"}}])
    before = timezone.now()
    send_round(stream)
    status = manager.get_status()
    assert set(map(to_snake, STATUS)) <= status.keys()
    assert (status["is_running"], status["last_sync_success"], status["last_sync_error"]) == (
        True,
        True,
        None,
    )
    assert before <= status["last_sync_time"] <= timezone.now()
    assert (status["queue_size"], status["total_synced"], status["total_failed"]) == (0, 2, 1)
    assert status["is_client_connected"]
    receiver.control(status=503, times=1)
    manager.add(readings(3))
    send_round(stream)
    status = manager.get_status()
    assert (status["last_sync_success"], "503" in status["last_sync_error"]) == (False, True)
    manager.stop()
    assert not manager.get_status()["is_running"]


def test_the_connectivity_has_every_field(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    manager = from_env(stream.name, stream.workspace.name)
    check_now(stream.client)
    told = manager.get_connectivity_status()
    assert set(map(to_snake, CONNECTIVITY)) <= told.keys()
    assert (told["is_connected"], told["consecutive_failures"]) == (True, 0)
    assert told["last_successful_connection"] == told["last_check_time"]
    assert (told["uptime"] >= 0, told["downtime"], told["last_failed_connection"]) == (
        True,
        0,
        None,
    )
    receiver.control(down=True)
    for _ in range(2):
        check_now(stream.client)
    told = manager.get_connectivity_status()
    assert (told["is_connected"], told["consecutive_failures"]) == (False, 2)
    assert told["last_failed_connection"] == told["last_check_time"]
    assert (told["uptime"], told["downtime"] >= 0) == (0, True)


def test_the_statistics_have_every_field(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    manager = from_env(stream.name, stream.workspace.name)
    manager.add(readings(*range(30)))
    receiver.control(status=503, times=1)
    send_round(stream)
    manager.trigger_sync()
    send_round(stream)
    assert manager.get_sync_stats(24) == {
        "hours": 24, "total_syncs": 4, "successful_syncs": 3, "failed_syncs": 1, "total_readings_synced": 30,
        "success_rate": 0.75,
    }  # fmt: skip
    assert set(STATS) <= manager.get_sync_stats().keys()


def test_the_variables_make_a_first_client_system_and_stream_once(settings: Settings) -> None:
    stream = first_stream(
        settings, client_api_url="https://client.example:8443/api/", client_api_key=KEY, api_timeout_s=12.5,
        sync_interval_minutes=7, outbox_batch_size=250,
    )  # fmt: skip
    client = stream.client
    assert (stream.name, client.name, client.kind) == (STREAM, CONNECTOR, "client")
    assert (client.host, client.port) == ("client.example", 8443)
    target = make_target(client)
    assert (target.options.base, target.options.tls, target.options.timeout_s) == (
        "/api",
        True,
        12.5,
    )
    assert target.secret.token == KEY
    assert (stream.sync_interval_s, stream.batch_size, stream.state) == (420, 250, "running")
    Stream.objects.update(batch_size=7)
    settings.SYNC = replace(settings.SYNC, client_api_url="http://other.example")
    assert ensure_first_stream(stream.workspace) is None
    assert Connector.objects.get(pk=client.pk).host == "client.example"
    assert Stream.objects.get().batch_size == 7


def test_without_automatic_sync_the_first_stream_is_stopped(settings: Settings) -> None:
    stream = first_stream(settings, client_api_url="http://client.example", enable_auto_sync=False)
    assert (stream.state, stream.client.port) == (StreamState.STOPPED, 80)


@pytest.mark.parametrize(
    "url",
    [
        "client.example",
        "ftp://client.example",
        "http://",
        "https://u:p@client.example",
        "http://a:99999",
    ],
)
def test_a_url_that_is_none_is_told(settings: Settings, url: str) -> None:
    with pytest.raises(InvalidClientUrl, match="CLIENT_API_URL"):
        first_stream(settings, client_api_url=url)
    assert not Connector.objects.exists()


def test_a_round_has_as_many_tries_as_the_variable_says(
    receiver: Receiver, settings: Settings
) -> None:
    settings.OUTBOX_MAX_RETRIES = 2
    stream = stream_to(receiver)
    take(stream, readings(1))
    receiver.control(status=500)
    counts = []
    for _ in range(3):
        StreamTail.objects.update(not_before=None)
        deliver(stream.pk, Heart("test"))
        counts.append(Batch.objects.get().tries)
    assert counts == [1, 0, 1]

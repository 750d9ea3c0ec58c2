"""Whole records of kind mcp, by real worker processes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from datasets.models import Dataset, Entry
from farends.mcp.options import McpOptions, McpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.gunicorn import running_gunicorn
from tests.hosts.scripted_mcp import scripted_mcp
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.rows import digests_of, fresh, make_connector, make_job, make_version, make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

NOTES: dict[str, str | bytes] = {f"kit://notes/{n}/a.md": f"note {n}" for n in range(30)}


def test_b10_resources_are_entries_and_only_what_changed_is_new(start: Start) -> None:
    start("worker")
    start("beat")
    with scripted_mcp(NOTES) as server:
        job = make_job(make_connector(server.target(token="t"), kind="mcp"))

        def run() -> SyncRecord:
            return fresh(until_final(enqueue(job, trigger=Trigger.MANUAL)))

        first = run()
        assert (first.state, first.files_added) == (State.SUCCEEDED, 30)
        server.resources["kit://notes/7/a.md"] = "note seven"
        del server.resources["kit://notes/8/a.md"]
        server.calls.clear()
        second = run()
    assert (second.state, second.error) == (State.SUCCEEDED, "")
    counts = (second.files_added, second.files_changed, second.files_removed)
    assert (counts, second.files_unchanged) == ((0, 1, 1), 28)
    assert server.methods.count("resources/read") == 29
    entries = Entry.objects.filter(dataset=job.dataset)
    assert entries.count() == 31  # of the others there is no second one
    assert {entry.path: entry.source for entry in entries.filter(until=None)} == {
        uri.replace("://", "/"): uri for uri in server.resources
    }
    assert len(digests_of(job.dataset)) == 29


def test_the_products_own_server_is_a_source_like_any_other(start: Start, tmp_path: Path) -> None:
    """Its large files come in parts, and its manifest beside them."""
    contents = {
        "notes/größe 1.md": "Grüße\n".encode(),
        "empty": b"",
        "large.txt": "0123456789é\n".encode() * 200_000,
        "large.bin": bytes(range(256)) * 10_000,
    }
    there = make_workspace("there")
    dataset = Dataset.objects.create(workspace=there, name="kept here")
    make_version(dataset, contents)
    token = create_token(there, name="reader", role=Role.VIEWER)[1]
    start("worker")
    start("beat")
    with running_gunicorn(tmp_path) as port:
        for protocol in ("2026-07-28", "2025-11-25"):
            options = McpOptions(scheme="http", protocol=protocol)
            target = Target("127.0.0.1", port, options, McpSecret(token=token))
            job = make_job(make_connector(target, kind="mcp"))
            record = fresh(until_final(enqueue(job, trigger=Trigger.MANUAL)))
            assert (record.state, record.error) == (State.SUCCEEDED, "")
            found = digests_of(job.dataset)
            assert found.pop("sync/kept here/manifest")
            assert found == {
                f"sync/kept here/files/{path}": hashlib.sha256(content).hexdigest()
                for path, content in contents.items()
            }

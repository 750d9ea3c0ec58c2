"""Whole records of kind mcp, by real worker processes."""

from __future__ import annotations

import pytest

from datasets.models import Entry
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.scripted_mcp import scripted_mcp
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.rows import digests_of, fresh, make_connector, make_job

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

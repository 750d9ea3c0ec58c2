"""Syncs from MCP servers: what is kept where their listings or their answers cannot be trusted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from datasets.models import Entry, Receipt, Version
from syncjobs.attempt.execution import execute
from syncjobs.core.comparing import Comparison
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode
from syncjobs.records.asking import release
from syncjobs.upkeep.rollback import roll_back
from tests.hosts.scripted_http import Conversation
from tests.hosts.scripted_mcp import SAID, Call, Failure, ScriptedMcp, scripted_mcp
from tests.rows import digests_of, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

NOTES: dict[str, str | bytes] = {f"kit://notes/{n:02}/a.md": f"note {n}" for n in range(30)}


@pytest.fixture
def server() -> Iterator[ScriptedMcp]:
    with scripted_mcp(NOTES) as running:
        yield running


@pytest.fixture
def job(server: ScriptedMcp) -> SyncJob:
    return make_job(make_connector(server.target(token="t"), kind="mcp"))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sources_of(job: SyncJob) -> dict[str, str | None]:
    rows = Entry.objects.filter(dataset=job.dataset, until=None)
    return dict(rows.values_list("path", "source"))


def test_the_entries_say_which_uri_they_are(server: ScriptedMcp, job: SyncJob) -> None:
    record = run(job)
    assert (record.state, record.files_added) == (State.SUCCEEDED, 30)
    assert digests_of(job.dataset)["kit/notes/07/a.md"] == digest("note 7")
    assert sources_of(job) == {uri.replace("://", "/"): uri for uri in NOTES}


@pytest.mark.parametrize("comparison", Comparison)
def test_each_sync_reads_every_resource_and_an_unchanged_one_makes_no_version(
    server: ScriptedMcp, comparison: Comparison
) -> None:
    job = make_job(make_connector(server.target(), kind="mcp"), comparison=comparison)
    run(job)
    for mode in (SyncMode.INCREMENTAL, SyncMode.FULL):
        server.calls.clear()
        record = run(job, mode=mode)
        assert (record.state, record.files_unchanged) == (State.SUCCEEDED, 30)
        assert server.methods.count("resources/read") == 30
    assert Version.objects.filter(dataset=job.dataset).count() == 1
    assert Entry.objects.filter(dataset=job.dataset).count() == 30
    server.resources["kit://notes/07/a.md"] = "note seven"
    assert run(job).files_changed == 1


def test_another_uri_that_comes_to_the_path_is_told_without_a_new_version(
    server: ScriptedMcp, job: SyncJob
) -> None:
    run(job)
    server.resources["kit://notes/07/a.md?rev=2"] = server.resources.pop("kit://notes/07/a.md")
    record = run(job)
    assert (record.state, record.files_unchanged, record.dataset_version) == (
        State.SUCCEEDED,
        30,
        1,
    )
    assert sources_of(job)["kit/notes/07/a.md"] == "kit://notes/07/a.md?rev=2"


def test_a_rollback_brings_the_uri_back(server: ScriptedMcp, job: SyncJob) -> None:
    run(job)
    server.resources["kit://notes/07/a.md?rev=2"] = "other"
    del server.resources["kit://notes/07/a.md"]
    run(job)
    roll_back(job.dataset_id, 1, by="somebody")
    assert sources_of(job)["kit/notes/07/a.md"] == "kit://notes/07/a.md"


PAGES: dict[str, Any] = {
    "mcp_loop": {"resources": [{"uri": "kit://notes/00/a.md"}], "nextCursor": "1"},
    "mcp_duplicate_uri": {"resources": [{"uri": "kit://a"}, {"uri": "kit://a"}]},
    "mcp_too_many": {"resources": [{"uri": f"kit://{n}"} for n in range(101)]},
    "mcp_protocol": Failure(-32603, "boom"),
    "mcp_tools_only": Failure(-32601, "Method not found"),
    "needs_a_person": {"resultType": "input_required", "inputRequests": {}},
}


@pytest.mark.parametrize("code", PAGES)
def test_a_listing_that_cannot_be_trusted_fails_the_record_and_removes_nothing(
    server: ScriptedMcp, code: str
) -> None:
    job = make_job(make_connector(server.target(max_resources=100), kind="mcp"))
    run(job)
    held = digests_of(job.dataset)
    server.habit = lambda call, _: PAGES[code] if call.method == "resources/list" else None
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, code)
    assert digests_of(job.dataset) == held
    assert Version.objects.filter(dataset=job.dataset).count() == 1


def test_an_error_of_one_read_fails_that_entry_alone_and_what_is_held_stays(
    server: ScriptedMcp, job: SyncJob
) -> None:
    run(job)
    held = digests_of(job.dataset)

    def lie(call: Call, _: Conversation) -> Any:
        if call.method == "resources/read" and call.params["uri"] == "kit://notes/03/a.md":
            return {"contents": [{"uri": "kit://notes/04/a.md", "text": "another"}]}

    server.habit = lie
    server.resources["kit://notes/05/a.md"] = "changed"
    record = run(job)
    assert (record.state, record.files_changed, record.files_failed) == (State.PARTIAL, 1, 1)
    item = record.items.get(action="failed")
    assert (item.path, item.error_code) == ("kit/notes/03/a.md", "mcp_other_uri")
    now = digests_of(job.dataset)
    assert now.pop("kit/notes/05/a.md") == digest("changed")
    assert now.items() < held.items()


def test_a_resource_that_went_after_the_listing_is_vanished_and_stays(
    server: ScriptedMcp, job: SyncJob
) -> None:
    run(job)

    def hide(call: Call, _: Conversation) -> Any:
        if call.method == "resources/read" and call.params["uri"] == "kit://notes/03/a.md":
            return Failure(-32002, "Resource not found")

    server.habit = hide
    record = run(job)
    assert (record.state, record.error_code) == (State.PARTIAL, "vanished")
    assert "kit/notes/03/a.md" in digests_of(job.dataset)


def test_a_resource_over_the_limit_of_the_job_fails_alone(server: ScriptedMcp) -> None:
    server.resources["kit://large"] = "x" * 3_000_000
    connector = make_connector(server.target(), kind="mcp")
    job = make_job(connector, max_file_size_bytes=1_000_000)
    record = run(job)
    assert (record.state, record.files_added) == (State.PARTIAL, 30)
    assert record.items.get(action="failed").error_code == "too_large"


def test_a_server_of_tools_alone_fails_the_first_record() -> None:
    with scripted_mcp(tools=14, capabilities={"tools": {}, "resources": {}}) as server:
        record = run(make_job(make_connector(server.target(), kind="mcp")))
    assert (record.state, record.error_code) == (State.FAILED, "mcp_tools_only")
    assert "only 14 tools" in record.error


def test_a_server_that_has_tools_left_and_no_resource_is_held_until_a_person_says_so(
    server: ScriptedMcp, job: SyncJob
) -> None:
    server.tools, server.capabilities = 14, {"tools": {}, "resources": {}}
    run(job)
    server.resources.clear()
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.empty_listing")
    assert len(digests_of(job.dataset)) == 30
    assert release(record.pk, by="somebody")
    assert execute(record.pk, Heart("test")) is State.SUCCEEDED
    assert digests_of(job.dataset) == {}


def test_401_of_one_read_fails_that_entry_alone(server: ScriptedMcp, job: SyncJob) -> None:
    def refuse(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/read" and call.params["uri"] == "kit://notes/03/a.md":
            conversation.answer(b"", status="401 Unauthorized")
            return SAID

    server.habit = refuse
    record = run(job)
    assert (record.state, record.files_added, record.files_failed) == (State.PARTIAL, 29, 1)
    assert record.items.get(action="failed").error_code == "auth_failed"


def test_the_text_of_a_document_never_stands_in_an_error(server: ScriptedMcp, job: SyncJob) -> None:
    def answer_plainly(call: Call, conversation: Conversation) -> Any:
        if call.method == "resources/read":
            conversation.answer(b"The merger is off.", "Content-Type: text/plain")
            return SAID

    server.habit = answer_plainly
    record = run(job)
    assert record.error_code == "mcp_protocol"
    told = [record.error, *record.items.values_list("message", flat=True)]
    assert not [words for words in told if "merger" in words]


def test_a_refused_token_fails_the_record(server: ScriptedMcp, job: SyncJob) -> None:
    def refuse(_: Call, conversation: Conversation) -> Any:
        fields = 'WWW-Authenticate: Bearer resource_metadata="http://x/"'
        conversation.answer(b"", fields, status="401 Unauthorized")
        return SAID

    server.habit = refuse
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "auth_failed")
    assert "give a token in `secret.token`" in record.error
    assert not Receipt.objects.exists()

"""Tools about sync records: what runs, what ran, and why it went so."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from api.mcp.caller import McpCaller
from api.mcp.tools.arguments import (
    Instant,
    Named,
    Paged,
    RecordId,
    list_rows_of,
    read_instant,
    take_page,
)
from api.mcp.tools.encoding import size_of
from api.mcp.tools.telling import tell_line_to_agent, tell_record_to_agent
from api.mcp.tools.tool import Arguments, Intent, Planned, ToolList
from api.rest.finding import need_id, points_to
from api.rest.pages import NEWEST_FIRST
from api.shapes.answers import Told
from api.shapes.events import EventOut, tell_event
from api.shapes.records import SHOWN, RecordOut
from connectors.models import Connector
from events.models import SyncEvent
from syncjobs.claims.reaping import CleanUp, clean_up
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.explaining import EVENTS_SHOWN, Explanation, explain
from syncjobs.queries.records import lines_of, reread
from syncjobs.records.asking import cancel

EVENTS_BYTES_MAX = 50_000
NAMED_MAX = 100  # records that effects name


class ListSyncRecords(Paged):
    """Lists sync records, the newest first: what ran and how it ended, with counts of files or rows. Narrow it by job, connector,
    state or time. explain_sync_record tells why one failed or waits."""

    job: Named | None = None
    connector: Named | None = None
    state: State | None = None
    since: Instant | None = None
    until: Instant | None = None

    def answer(self, caller: McpCaller) -> ToolList:
        owner = caller.workspace
        rows = lines_of(owner, SHOWN)
        if self.job is not None:
            rows = rows.filter(points_to(SyncJob, owner, self.job))
        if self.connector is not None:
            rows = rows.filter(points_to(Connector, owner, self.connector))
        if self.state is not None:
            rows = rows.filter(state=self.state)
        if self.since is not None:
            rows = rows.filter(queued_at__gte=read_instant("since", self.since))
        if self.until is not None:
            rows = rows.filter(queued_at__lt=read_instant("until", self.until))
        found, following = take_page(NEWEST_FIRST, rows, self)
        return list_rows_of(
            NEWEST_FIRST, found, [tell_line_to_agent(row) for row in found], following
        )


class ExplanationOut(Told):
    record: RecordOut
    explanation: str = Field(description="Why it waits, stopped or failed, in one paragraph.")
    advice: list[str] = Field(description="What a person can do.")
    events: list[EventOut] = Field(description="What happened to it, the latest 20, oldest first.")


class ExplainSyncRecord(Arguments):
    """Explains why a sync record waits, was held, stopped or failed, by which rule, and what to do next; with the latest events.
    Use it before you advise on a failed sync."""

    record: RecordId

    def answer(self, caller: McpCaller) -> dict[str, Any]:
        record = _need_record(caller, self.record)
        told = explain(record)
        events = list(record.events.order_by("-id")[:EVENTS_SHOWN])
        return {
            "record": tell_record_to_agent(record),
            "explanation": _write_paragraph(told),
            "advice": list(told.next_steps),
            "events": _tell_events(events),
        }


class StoppedOut(Told):
    state: Literal["done"]
    record: RecordOut


class StopSync(Planned, kw_only=True):
    """Cancels a sync record that runs, waits or is held. A running one ends within seconds, and what it has published stays. The
    first call only tells what would happen and gives a plan_token: call again with the same arguments and the token."""

    record: RecordId

    def plan(self, caller: McpCaller) -> Intent:
        record = _need_record(caller, self.record)
        if record.state in FINAL:
            words = f"Record {record.pk} of job {record.job.name} has ended already ({record.state}): nothing is changed."
        else:
            words = f"Record {record.pk} of job {record.job.name}, which is {record.state}, is cancelled."
        return Intent([words], record, lambda: _stop(caller, record))


class CleanedUpOut(Told):
    state: Literal["done"]
    cleaned: int
    records: list[uuid.UUID] = Field(description="Those that were taken back.")


class CleanupStuckSyncs(Planned):
    """Takes back syncs that are stuck: their worker died, hangs, or does not obey a cancel. This happens by itself within seconds;
    use it only if something seems to hang. The first call only tells which records it would take back and gives a plan_token:
    call again with the token."""

    def plan(self, caller: McpCaller) -> Intent:
        owner = caller.workspace
        found = clean_up(by=caller.name, workspace_ids=[owner.pk], dry_run=True)
        return Intent(_clean_up_effects(found), owner, lambda: _clean_up(caller))


def _need_record(caller: McpCaller, called: str) -> SyncRecord:
    """Raises Refused."""
    rows = SyncRecord.objects.select_related("job", "connector", "source_dataset", "workspace")
    return need_id(rows, caller.workspace, called, "sync record")


def _write_paragraph(told: Explanation) -> str:
    return " ".join(_iter_sentences(told))


def _iter_sentences(told: Explanation) -> Iterator[str]:
    yield told.summary
    for wait in told.waits[1:]:
        until = f" until {wait.until:%Y-%m-%d %H:%M:%S} UTC" if wait.until else ""
        yield f"It also waits for {wait.what}{until}."
    attempts = told.attempts
    if attempts.number > 1 or attempts.without_progress:
        yield (
            f"This was attempt {attempts.number}; {attempts.without_progress} in a row were in vain, and it may have"
            f" {attempts.most}."
        )
    if attempts.workers_lost:
        yield f"It has lost {attempts.workers_lost} workers, and may lose {attempts.workers_lost_most}."


def _tell_events(newest_first: Sequence[SyncEvent]) -> list[dict[str, Any]]:
    """The oldest first; fewer where their evidence is long."""
    told: list[dict[str, Any]] = []
    size = 0
    for event in newest_first:
        one = tell_event(event).model_dump()
        size += size_of(one)
        if told and size > EVENTS_BYTES_MAX:
            break
        told.append(one)
    return told[::-1]


def _stop(caller: McpCaller, record: SyncRecord) -> dict[str, Any]:
    cancel(record.pk, by=caller.name)
    return {"state": "done", "record": tell_record_to_agent(reread(record))}


def _clean_up_effects(found: CleanUp) -> list[str]:
    if not found.count:
        return ["No sync is stuck now: what is stuck by then is taken back."]
    effects = [
        f"Record {one.record_id} is taken back: {one.finding.words}."
        for one in found.records[:NAMED_MAX]
    ]
    if found.count > NAMED_MAX:
        effects.append(f"{found.count - NAMED_MAX} further records are taken back.")
    return effects


def _clean_up(caller: McpCaller) -> dict[str, Any]:
    done = clean_up(by=caller.name, workspace_ids=[caller.workspace.pk])
    return {
        "state": "done",
        "cleaned": done.count,
        "records": [one.record_id for one in done.records],
    }

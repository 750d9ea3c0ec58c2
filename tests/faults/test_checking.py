"""The checker itself: each rule is broken once, in evidence that was made up."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults import checking
from tests.faults.checking import Checked, check, check_cancels, check_living, find_takeovers
from tests.faults.evidence import (
    Blob,
    Entry,
    Evidence,
    Note,
    Record,
    Version,
    refused_heartbeats,
)
from tests.faults.plans import Kind, make_plan
from tests.faults.sources import Held, PathHistory

WORKSPACE, DATASET, JOB, RECORD, OTHER = (uuid.UUID(int=n) for n in range(1, 6))
STANDARD = sys.stdlib_module_names
OLD, NEW, STRANGE = b"o" * 32, b"n" * 32, b"s" * 32


@dataclass
class MadeSource:
    paths: dict[str, PathHistory] = field(default_factory=dict)


@dataclass
class MadeJob:
    """Due each 10 s from 0, its source holds `a` all the time, and `b` anew from 15."""

    id: uuid.UUID = JOB
    dataset_id: uuid.UUID = DATASET
    workspace_id: uuid.UUID = WORKSPACE
    every_s: int = 10
    first_fire: float = 0.0
    name: str = "job"
    source: MadeSource = field(
        default_factory=lambda: MadeSource(
            {
                "a": PathHistory([Held(OLD, 3, float("-inf"), float("-inf"))]),
                "b": PathHistory([Held(OLD, 3, -9, -9), Held(NEW, 4, 15.0, 15.1)]),
            }
        )
    )


class Story:
    """A history in the making, of one record that syncs at 0 and another that syncs at 20."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._ids = itertools.count(1)
        for fire, record, number in ((0, RECORD, 1), (10, OTHER, 2)):
            token = number
            self.add("queued", fire + 0.1, "beat", record=record, fire=fire)
            at = fire * 2  # the second record waits
            self.event("claimed", at + 1, record, token, to="running")
            session = f"sync {record.hex}.{token}"
            self.add("heartbeat", at + 2, "worker", record=record, token=token)
            self.write("receipts", at + 3, record, token, session=session)
            self.write("version", at + 4, record, token, session=session, number=number)
            self.write("ledger", at + 4, record, token, session=session, troubled=[])
            self.event("succeeded", at + 5, record, token, to="succeeded")

    def add(self, what: str, at: float, process: str, **fields: Any) -> None:
        known = {
            name: fields.pop(name, None) for name in ("record", "fence", "session", "committed_at")
        }
        self.notes.append(
            Note(
                next(self._ids),
                at,
                known["committed_at"] or at,
                process,
                known["session"] or process,
                what,
                DATASET,
                known["record"],
                known["fence"],
                fields,
            )
        )

    def event(
        self, event: str, at: float, record: uuid.UUID, token: int, to: str, process: str = "worker"
    ) -> None:
        source = "queued" if event == "claimed" else "running"
        fields = {"event": event, "token": token, "from": source, "to": to, "late": 0}
        self.add("event", at, process, record=record, **fields)

    def write(self, what: str, at: float, record: uuid.UUID, token: int, **fields: Any) -> None:
        fields.setdefault("fence", token)
        self.add(what, at, fields.pop("process", "worker"), record=record, **fields)

    def change(self, what: str, **fields: Any) -> None:
        """Changes the first note of that kind; `data` is merged."""
        index = next(i for i, note in enumerate(self.notes) if what in (note.what, note.event))
        data = self.notes[index].data | fields.pop("data", {})
        self.notes[index] = dataclasses.replace(self.notes[index], data=data, **fields)

    def evidence(self, **fields: Any) -> Evidence:
        made: dict[str, Any] = {
            "history": self.notes,
            "records": [
                Record(RECORD, JOB, "succeeded", 0.0, 1, True, False, ""),
                Record(OTHER, JOB, "succeeded", 10.0, 2, True, False, ""),
            ],
            "versions": [Version(DATASET, 1, False, 2, 6), Version(DATASET, 2, True, 2, 7)],
            "entries": {
                DATASET: [
                    Entry("a", OLD, 3, 1, None),
                    Entry("b", OLD, 3, 1, 2),
                    Entry("b", NEW, 4, 2, None),
                ]
            },
            "blobs": {(WORKSPACE, OLD): Blob(3), (WORKSPACE, NEW): Blob(4)},
        }
        return Evidence(**(made | fields))


def rules_of(story: Story, **fields: Any) -> set[str]:
    checked = check(story.evidence(**fields), [MadeJob()], off_at=20.0)
    return {finding.rule for finding in checked.findings}


def test_a_run_in_order_has_no_finding() -> None:
    assert rules_of(Story()) == set()


def test_two_holders_of_a_lease() -> None:
    story = Story()
    story.notes = [note for note in story.notes if note.event != "succeeded"]
    assert {"lease.two_holders", "lease.never_ended"} <= rules_of(story)


def test_a_token_that_does_not_grow() -> None:
    story = Story()
    story.event("claimed", 30, OTHER, 2, to="running")
    assert "lease.token_not_grown" in rules_of(story)


@pytest.mark.parametrize("what", ["receipts", "version", "ledger", "heartbeat", "succeeded"])
def test_a_writer_that_is_not_the_holder(what: str) -> None:
    story = Story()
    story.change(what, process="zombie")
    assert "fence.stale_writer" in rules_of(story)


def test_a_writer_whose_token_is_outdated() -> None:
    story = Story()
    story.change("version", fence=7)
    assert "fence.stale_writer" in rules_of(story)


def test_a_writer_that_commits_after_its_claim_has_ended() -> None:
    story = Story()
    story.change("version", committed_at=5.5)
    assert "fence.stale_writer" in rules_of(story)


def test_a_writer_that_nobody_knows() -> None:
    story = Story()
    story.change("version", session="psql")
    assert "fence.unknown_writer" in rules_of(story)


def test_an_end_after_the_end() -> None:
    story = Story()
    story.event("failed", 40, OTHER, 2, to="failed")
    assert "record.moved_after_end" in rules_of(story)


def test_a_time_that_is_not_the_databases() -> None:
    story = Story()
    story.change("succeeded", data={"late": -7200})
    assert "event.wrong_time" in rules_of(story)


def test_fires() -> None:
    story = Story()
    records = story.evidence().records
    assert rules_of(story, records=records[1:]) == {"fire.lost"}
    assert "fire.doubled" in rules_of(
        story, records=[*records, dataclasses.replace(records[0], id=JOB)]
    )
    story.add("event", 12, "beat", record=OTHER, event="coalesced", data={"fire": _iso(0)})
    assert rules_of(story, records=records[1:]) == set()
    gap = Story()
    told = {"missed": 3, "first": _iso(-10), "last": _iso(10)}
    gap.add("event", 12, "beat", record=OTHER, event="coalesced", data=told)
    assert rules_of(gap, records=records[1:]) == set()
    gap.change("queued", at=-1)
    assert rules_of(gap) == {"fire.early"}


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()


def test_a_record_that_is_not_final() -> None:
    story = Story()
    going = [dataclasses.replace(one, finished=False) for one in story.evidence().records]
    assert rules_of(story, records=going) == {"record.not_final"}


def test_blobs() -> None:
    held = Story().evidence().blobs
    for blob, rule in (
        (Blob(0, "missing: x"), "version.blob_missing"),
        (Blob(4, "differs: x"), "version.blob_differs"),
        (Blob(5), "version.blob_differs"),
    ):
        assert rules_of(Story(), blobs=held | {(WORKSPACE, NEW): blob}) == {rule}


def test_counts_and_numbers_of_versions() -> None:
    first, second = Story().evidence().versions
    wrong = dataclasses.replace(second, file_count=3)
    assert rules_of(Story(), versions=[first, wrong]) == {"version.counts"}
    assert "version.gap" in rules_of(Story(), versions=[second])
    assert "version.current" in rules_of(
        Story(), versions=[first, dataclasses.replace(second, is_current=False)]
    )


@pytest.mark.parametrize(
    "entry",
    [
        Entry("b", OLD, 4, 2, None),  # what it was before the attempt began
        Entry("b", STRANGE, 4, 2, None),  # what it never was
        Entry("c", NEW, 4, 2, None),  # and b is missing
    ],
)
def test_a_version_that_the_source_never_was(entry: Entry) -> None:
    entries = [*Story().evidence().entries[DATASET][:2], entry]
    blobs = dict.fromkeys([(WORKSPACE, OLD), (WORKSPACE, STRANGE), (WORKSPACE, NEW)], Blob(4))
    blobs[WORKSPACE, OLD] = Blob(4 if entry.sha256 == OLD else 3)
    assert "version.not_a_state" in rules_of(Story(), entries={DATASET: entries}, blobs=blobs)


def test_what_an_attempt_told_as_failed_may_stay_as_it_was() -> None:
    story = Story()
    held = [*story.evidence().entries[DATASET][:1], Entry("b", OLD, 3, 1, None)]
    versions = [Version(DATASET, 1, False, 2, 6), Version(DATASET, 2, True, 2, 6)]
    assert rules_of(story, entries={DATASET: held}, versions=versions) == {"version.not_a_state"}
    for index, note in enumerate(story.notes):
        if note.what == "ledger":
            story.notes[index] = dataclasses.replace(note, data={"troubled": ["b"]})
    assert rules_of(story, entries={DATASET: held}, versions=versions) == set()


def test_a_cancel_that_comes_late() -> None:
    evidence = Story().evidence()
    for at, expected in ((3.0, 0), (-90.0, 1)):
        checked = Checked()
        check_cancels(checked, evidence, [(RECORD, at)], [], grace_s=5)
        assert len(checked.findings) == expected
    checked = Checked()
    check_cancels(checked, evidence, [(RECORD, -90.0)], [(-80.0, -5.0)], grace_s=5)
    assert checked.findings == []


@pytest.mark.parametrize(
    ("hurt", "outages", "expected"),
    [
        ([], [], {"lease.taken_from_living"}),
        ([("other", 30.0, 60.0)], [], {"lease.taken_from_living"}),
        ([("victim", 30.0, 60.0)], [], set()),
        ([], [(45.0, 46.0)], set()),
    ],
)
def test_a_lease_that_runs_out_needs_a_cause(
    hurt: list[tuple[str, float, float]], outages: list[tuple[float, float]], expected: set[str]
) -> None:
    story = Story()
    story.event("claimed", 30, OTHER, 3, to="running", process="victim")
    story.event("lease_expired", 52, OTHER, 3, to="queued", process="reaper")
    checked = Checked()
    check_living(checked, story.notes, hurt, outages, lease_s=4)
    assert {finding.rule for finding in checked.findings} == expected


def test_a_heartbeat_that_the_database_refused(tmp_path: Path) -> None:
    lines = (
        'event=heartbeat.failed error="connection failed: refused"',
        'event=heartbeat.failed error="cannot dump lists of mixed types"',
    )
    (tmp_path / "worker_1.log").write_text("\n".join(lines))
    assert refused_heartbeats(tmp_path) == [("worker_1", "cannot dump lists of mixed types")]


def test_an_internal_error() -> None:
    first, second = Story().evidence().records
    broken = dataclasses.replace(second, error_code="internal")
    assert rules_of(Story(), records=[first, broken]) == {"record.internal_error"}


def test_takeovers_are_counted_from_the_death() -> None:
    story = Story()
    story.event("claimed", 30, OTHER, 3, to="running", process="victim")
    story.event("lease_expired", 52, OTHER, 3, to="queued", process="reaper")
    story.event("claimed", 54, OTHER, 5, to="running", process="heir")
    deaths = [("victim", 32.0), ("worker", 500.0)]
    (takeover,) = find_takeovers(story.notes, deaths)
    assert find_takeovers(story.notes, [("victim", 53.0)]) == []  # stopped before it died
    assert (takeover.taken_back_s, takeover.claimed_s) == (20.0, 22.0)


def test_a_plan_is_made_of_its_seed_alone_and_holds_every_kind() -> None:
    assert make_plan(4, 300) == make_plan(4, 300)
    assert make_plan(4, 300) != make_plan(5, 300)
    assert {fault.kind for fault in make_plan(4, 300).faults} == set(Kind)


def test_the_checker_imports_nothing_of_the_product() -> None:
    allowed = {"tests.faults.evidence", "tests.faults.sources", "tests.faults.plans", "psycopg"}
    folder = Path(checking.__file__).parent
    for name in ("checking.py", "evidence.py", "sources.py", "plans.py"):
        for node in ast.walk(ast.parse((folder / name).read_text())):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for module in modules:
                known = module in allowed or module.partition(".")[0] in STANDARD | {"psycopg"}
                assert known, f"{name} imports {module}"

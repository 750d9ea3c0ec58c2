"""No name and no word of a far end makes a line of its own in what a command says, or speaks to the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, load_command_class
from hypothesis import given
from hypothesis import strategies as st

from cli.lines import Lines, LineWriter, make_lines, one_line
from cli.records import describe_record
from datasets.models import Entry, Version
from datasets.store import ensure_store
from events.models import SyncEvent
from syncjobs.core.states import State
from syncjobs.models import SyncItem
from tests.console.conftest import PLAN, Tenant, make_record, make_tenant

FORGED = "a\nacme-job: succeeded (all is well)\r\x1b[2J\u202e\u2028\x85"


@given(text=st.text())
def test_one_line_stays_one(text: str) -> None:
    assert one_line(text).isprintable()
    assert one_line(text).count("\n") == 0


@given(texts=st.lists(st.text()))
def test_several_lines_stay_as_many(texts: list[str]) -> None:
    out = io.StringIO()
    LineWriter(out).write(make_lines([*texts, "last"]))
    assert out.getvalue().count("\n") == len(texts) + 1


def test_an_error_of_several_lines_is_shown_in_as_many(
    tmp_path: Path, db: None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    rows = "\n".join(f"      - {{name: {name}, kind: none, host: x}}" for name in ('"a\\n"', "b"))
    file.write_text(f"workspaces:\n  - name: acme\n    connectors:\n{rows}\n")
    with pytest.raises(SystemExit):
        load_command_class("cli", "apply").run_from_argv(["manage.py", "apply", str(file)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"CommandError: {file}:4: ")
    assert lines[1].startswith(f"{file}:5: ")
    assert lines[-1] == "nothing was changed"


@pytest.fixture
def forging(db: None) -> Tenant:
    """A workspace in whose every text a far end has had a say."""
    ensure_store()
    tenant = make_tenant("acme")
    record = make_record(
        tenant.job,
        State.FAILED,
        error=FORGED,
        error_code="internal",
        warning=FORGED,
        verdict=FORGED[:20],
        dry_run=True,
        plan=PLAN | {"guard": {"rule": "mass_removal", "reason": FORGED, "removed": 4}},
        drift={"files": [{"what": "changed", "path": FORGED}]},
    )
    SyncItem.objects.create(record=record, path=FORGED, action="added", size_bytes=11)
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event="failed",
        reason=FORGED,
        data={"why": FORGED},
    )
    tenant.record = record
    return tenant


def said_by(*words: Any, fails: bool = False) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    if fails:
        with pytest.raises((SystemExit, CommandError)) as caught:
            call_command(*words, stdout=out, stderr=err)
        err.write(f"{caught.value}\n")
    else:
        call_command(*words, stdout=out, stderr=err)
    return (out.getvalue() + err.getvalue()).split("\n")


def check(lines: list[str], *, seen: bool = True) -> None:
    assert not [line for line in lines if line.startswith("acme-job: succeeded")], lines
    assert all(line.isprintable() for line in lines), lines
    assert any("a\\nacme-job" in line for line in lines) is seen, lines


def test_a_record_tells_its_own_lines_alone(forging: Tenant) -> None:
    told = describe_record(forging.record)
    assert isinstance(told, Lines)
    check(told.split("\n"))
    assert told.count("acme-job: succeeded") == 5  # warning, guard, item, drift, error


def test_explain_tells_its_own_lines_alone(forging: Tenant) -> None:
    check(said_by("explain", str(forging.record.pk)))


def test_diff_and_scrub_tell_their_own_lines_alone(forging: Tenant) -> None:
    dataset = forging.dataset
    Entry.objects.create(dataset=dataset, path=FORGED, size_bytes=1, sha256=b"0" * 32, since=2)
    Version.objects.filter(dataset=dataset).update(is_current=False)
    Version.objects.create(dataset=dataset, number=2, file_count=2, size_bytes=2)
    check(said_by("diff", dataset.name, "1", "2", fails=True))
    check(said_by("scrub", fails=True))


def test_an_error_is_one_line(forging: Tenant) -> None:
    for words in (("sync", FORGED), ("diff", FORGED, "1", "2"), ("test_connector", FORGED)):
        lines = said_by(*words, fails=True)
        assert all(line.isprintable() for line in lines), lines
        assert len([line for line in lines if line]) == 1

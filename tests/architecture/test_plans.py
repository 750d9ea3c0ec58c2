"""A dry run is no sync: whoever reads records says which of the two he means."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncjobs.models import SyncRecord

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
MANAGERS = {"objects", "plans", "either"}
STATEMENT = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+syncjobs_syncrecord\b")

# file: why it treats syncs and dry runs alike
ALIKE = {
    "cli/management/commands/process_due.py": "works on whatever waits",
    "cli/management/commands/sync.py": "says of a record that is no plan what it is",
    "cli/working.py": "shows the record that it works on",
    "console/admin/connector.py": "each record protects its connector",
    "console/admin/sync_job.py": "a running one protects its job",
    "console/things.py": "who has an id finds what it names",
    "console/admin/sync_record_list.py": "pages of both; the list is filtered",
    "syncjobs/attempt/budgeting.py": "both bear on a host",
    "syncjobs/attempt/execution.py": "both are worked on",
    "syncjobs/claims/claiming.py": "both are claimed",
    "syncjobs/claims/demand.py": "both wait for a worker",
    "syncjobs/claims/halting.py": "both wait for the end of a halt",
    "syncjobs/claims/limiting.py": "both use up a limit",
    "syncjobs/claims/reaping.py": "both are taken back from the dead",
    "syncjobs/claims/telling.py": "both wait",
    "syncjobs/claims/windowing.py": "both wait for their windows",
    "syncjobs/configuration/connectors.py": "each record protects its connector",
    "syncjobs/configuration/dataset_deletion.py": "each record protects its dataset",
    "syncjobs/configuration/jobs.py": "both look at their windows again",
    "syncjobs/queries/connectivity.py": "both bear on a host",
    "syncjobs/queries/explaining.py": "found by its id; what runs keeps others out, whatever it is",
    "syncjobs/queries/installation.py": "both wait for a worker",
    "syncjobs/queries/records.py": "found by its id",
    "syncjobs/queries/resting.py": "both rest on the version that they read",
    "syncjobs/queries/signs.py": "both show signs of life",
    "syncjobs/queueing/backfilling.py": "a backfill has no dry runs",
    "syncjobs/queueing/dispatching.py": "a fire has no dry runs",
    "syncjobs/queueing/enqueueing.py": "makes both",
    "syncjobs/queueing/giving_up.py": "both give up",
    "syncjobs/queueing/ringing.py": "both are rung for",
    "syncjobs/queueing/starting.py": "a start anew cancels both",
    "syncjobs/queueing/waking.py": "both are woken",
    "syncjobs/records/asking.py": "both can be cancelled",
    "syncjobs/records/lines.py": "the end of both is told",
    "syncjobs/records/transition.py": "writes the state of both",
    "syncjobs/upkeep/sweeping.py": "what runs has partial files, whatever it is",
    "syncjobs/works/files/clearing.py": "its own record",
    "syncjobs/works/files/keeping.py": "its own record",
    "syncjobs/works/files/publishing.py": "its own record",
    "syncjobs/works/rows/home.py": "its own record",
    "syncjobs/works/verified.py": "its own record",
}


def asks_for_either(text: str) -> Iterator[int]:
    """Lines that ask for records without saying which."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="SyncRecord"), attr=name) if _is_open(name):
                yield node.lineno
            case ast.keyword(arg="manager", value=ast.Constant(value="either")):
                yield node.lineno
            case ast.Constant(value=str()) | ast.JoinedStr() if _reads_both(
                ast.unparse(node).replace("\\n", " ")
            ):
                yield node.lineno


def _is_open(manager: str) -> bool:
    return manager in ("either", "_base_manager", "_default_manager")


def _reads_both(statement: str) -> bool:
    return STATEMENT.search(statement) is not None and "dry_run" not in statement


def products() -> list[Path]:
    return [
        path
        for package in CONFIG["root_packages"]
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]


@pytest.mark.parametrize("path", products(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_query_means_syncs_or_plans(path: Path) -> None:
    if str(path.relative_to(ROOT)) not in ALIKE:
        assert list(asks_for_either(path.read_text())) == []


@pytest.mark.parametrize("name", ALIKE)
def test_what_is_allowed_is_needed(name: str) -> None:
    assert list(asks_for_either((ROOT / name).read_text())) != []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SyncRecord.either.count()", True),
        ("SyncRecord._base_manager.count()", True),
        ("job.records(manager='either')", True),
        ("'SELECT 1 FROM syncjobs_syncrecord r'", True),
        ("f'UPDATE syncjobs_syncrecord SET {what}'", True),
        ("f'SELECT {what} FROM syncjobs_syncrecord'", True),
        ("SyncRecord.objects.count()", False),
        ("SyncRecord.plans.count()", False),
        ("'SELECT 1 FROM syncjobs_syncrecord WHERE NOT dry_run'", False),
    ],
)
def test_the_rule_sees(text: str, found: bool) -> None:
    assert bool(list(asks_for_either(text))) is found


def test_records_have_no_other_way_in() -> None:
    assert {manager.name for manager in SyncRecord._meta.managers} == MANAGERS
    assert SyncRecord._default_manager.name == "objects"  # which relations use

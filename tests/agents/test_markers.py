"""Text of files and values of rows stand in the fields that are for them, and nowhere else: an agent must not take them for
words of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from api.mcp.tools.table import TOOLS
from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.agents.asking import Agent, agent
from tests.agents.things import arguments_of, checked, make_things
from tests.api.conftest import shop, shop_database
from tests.hosts.databases import Database
from tests.rows import make_job, make_version
from tests.search.filling import fill_dataset
from tests.tables.writing import make_dataset, make_table, publish
from workspaces.models import Role

__all__ = ["shop", "shop_database"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)

IN_NAME, IN_TEXT, IN_ROW = "MARKER-OF-NAMES", "MARKER-OF-TEXTS", "MARKER-OF-ROWS"
NAMES = {
    "path",
    "paths",
    "uri",
    "error",
    "last_error",
    "reason",
}  # where a file may be called by its name
TEXTS = {"text", "snippet", "heading"}
ROWS = {"rows", "text", "snippet"}
# A held row's key, and what a far end calls its tables, are no words of ours either.
NEVER = {"title", "description", "detail", "effects", "advice", "explanation"}


def iter_texts(told: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """Each text with the field that it stands in; names of fields are texts too."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield "a name", name
            yield from iter_texts(value, name)
    elif isinstance(told, list):
        for value in told:
            yield from iter_texts(value, field)
    elif isinstance(told, str):
        yield field, told


def check_places(told: Any, more: frozenset[str] = frozenset()) -> set[str]:
    """The markers that were seen."""
    seen = set()
    for field, text in iter_texts(told):
        for marker, places in ((IN_NAME, NAMES), (IN_TEXT, TEXTS), (IN_ROW, ROWS)):
            if marker in text:
                assert field in places | more, (field, text)
                assert field not in NEVER
                seen.add(marker)
    return seen


@pytest.fixture
def planted(shop: Connector, shop_database: Database) -> dict[str, dict[str, Any]]:
    """What each tool is called with, where the markers are planted in all that it could read."""
    things = make_things()
    found = arguments_of(things)
    files = make_job(things.connector, name="marked").dataset
    make_version(files, {f"{IN_NAME}/a.txt": f"{IN_TEXT} of a file".encode()})
    tables = make_dataset("rows")
    made = make_table(tables, {"id": "text", "words": "text"})
    publish(made, {(IN_ROW,): {"id": IN_ROW, "words": IN_ROW}})
    shop_database.session.execute("UPDATE orders SET customer = %s", [IN_ROW])
    hold(things.record)
    found["read_file"] = {"dataset": files.name, "path": f"{IN_NAME}/a.txt"}
    found["list_files"] = {"dataset": files.name}
    texts = {f"{IN_NAME}/b.md": f"# {IN_TEXT}\n\n{IN_TEXT} of a note\n"}
    fill_dataset(things.job.workspace, "notes", texts.items())
    found["search_datasets"] = {"query": IN_TEXT}
    found["query_table"] = {"dataset": tables.name}
    found["list_entities"] = {"dataset": files.name}
    found["preview_rows"] = {"connector": shop.name, "entity": "public.orders"}
    return found


def hold(record: SyncRecord) -> None:
    """A guard has stopped it, and quotes keys of rows; its mark is a value of a row."""
    table = {
        "rule": "mass_removal", "reason": "2 rows would go", "removed": 2, "table_rows": 3,
        "sample_keys": [{"id": IN_ROW}], "schema_changes": [],
    }  # fmt: skip
    SyncRecord.objects.filter(pk=record.pk).update(
        state=State.HELD,
        hold={"rule": "mass_removal", "files": 2, "tables": {"orders": table}},
        mark={"kind": "column", "field": "id", "text": IN_ROW},
        tables=[{"name": "orders", "state": "held", "held": table}],
        queued_at=Now(),
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_each_answer_has_the_markers_in_their_places(planted: dict[str, Any], tool: str) -> None:
    who = agent(Role.ADMIN)
    # A file is called by its path, and its first line may be the names of its columns.
    more = frozenset({"name"} if tool == "list_entities" else ())
    seen = check_places(checked(who, tool, **planted[tool]), more)
    if TOOLS[tool].untrusted:
        assert seen & {IN_TEXT, IN_ROW}
    else:
        assert IN_TEXT not in seen


def test_a_list_of_a_databases_tables_has_none(planted: dict[str, Any]) -> None:
    told = checked(
        agent(Role.ADMIN), "list_entities", connector=planted["preview_rows"]["connector"]
    )
    assert told["items"]
    assert not check_places(told) & {IN_TEXT, IN_ROW}


def test_what_is_planned_and_done_has_none(planted: dict[str, Any]) -> None:
    who = agent(Role.ADMIN)
    for tool in (name for name, one in TOOLS.items() if one.is_planned):
        told = checked(who, tool, **planted[tool])
        assert not check_places(told)
        assert check_places(checked(who, tool, **planted[tool], plan_token=told["plan_token"])) <= {
            IN_ROW
        }


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("read_file", {"path": f"{IN_NAME}/none"}),
        ("read_file", {"path": f"{IN_NAME}/a.txt", "offset": 10**6}),
        ("query_table", {"where": [{"column": "words", "op": "lt", "value": [IN_ROW]}]}),
        ("query_table", {"columns": ["words", IN_NAME]}),
        ("list_files", {"version": 99}),
    ],
)
def test_refusals_have_none(planted: dict[str, Any], tool: str, given: dict[str, Any]) -> None:
    error = checked(agent(Role.ADMIN), tool, **(planted[tool] | given))
    assert error["error"]
    assert not check_places(error)


def test_a_record_that_runs_again_is_told_without_keys(planted: dict[str, Any]) -> None:
    """Of its latest events, too."""
    who: Agent = agent(Role.ADMIN)
    record = SyncRecord.objects.get(pk=planted["stop_sync"]["record"])
    told = checked(who, "explain_sync_record", record=str(record.pk))
    assert told["record"]["held"]["sample_keys"] == []
    assert told["record"]["held"]["removed"] == 2
    SyncRecord.objects.filter(pk=record.pk).update(state=State.QUEUED, hold=None)
    assert claim(record.pk, "worker") is not None
    enqueue(record.job, trigger=Trigger.MANUAL)
    told = checked(who, "explain_sync_record", record=str(record.pk))
    assert told["explanation"].startswith("Running")
    assert [one["event"] for one in told["events"]][-1] == "claimed"

"""Tables by REST: rows of each version, what differs, the schema; and what other workspaces see of them, which is nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from datasets.models import TableColumn
from tests.api.asking import Asker, asker
from tests.rows import make_workspace
from tests.tables.writing import (
    Rows,
    Written,
    add_column,
    drop_column,
    make_dataset,
    make_table,
    publish,
)
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
MARK = {"kind": "xmin", "field": "xmin", "text": "750", "proof": {"server": "7"}}


def rows_of(*lines: str) -> Rows:
    """`1=10`: id and qty."""
    pairs = [line.partition("=")[::2] for line in lines]
    return {(key,): {"id": key, "qty": qty or None} for key, qty in pairs}


@pytest.fixture
def viewer() -> Asker:
    return asker(Role.VIEWER)


@pytest.fixture
def orders() -> Written:
    """Three versions: 1, 2, 10; one changes and one goes; one comes back."""
    written = make_table(make_dataset(), {"id": "bigint", "qty": "integer"})
    publish(written, rows_of("1=10", "2=", "10=5"), mark=MARK)
    publish(written, rows_of("1=11", "10=5"), mark=MARK)
    publish(written, rows_of("1=11", "2=7", "10=5"), mark=MARK)
    return written


def test_a_dataset_of_tables_and_its_versions(viewer: Asker, orders: Written) -> None:
    told = viewer.get("datasets/shop").json()
    assert (told["kind"], told["row_count"], told["current_version"]) == ("table", 3, 3)
    assert told["tables"] == [
        {"name": "orders", "schema": orders.table.schema, "entity": "orders", "connector": None}
    ]
    assert viewer.items("datasets") == [told]
    third, second, first = viewer.items("datasets/shop/versions", limit=2)
    counts = ("rows", "rows_added", "rows_changed", "rows_removed")
    assert [first[name] for name in counts] == [3, 3, 0, 0]
    assert [second[name] for name in counts] == [2, 0, 1, 1]
    assert [third[name] for name in counts] == [3, 1, 0, 0]
    assert third["tables_changed"] == ["orders"]
    assert third["mark"] == {"kind": "xmin", "field": "xmin", "text": "750"}


def test_rows_of_each_version_by_pages_of_any_size(viewer: Asker, orders: Written) -> None:
    for number, held in orders.held.items():
        for limit in (1, 2, 50):
            found = viewer.items("datasets/shop/rows", version=number, limit=limit)
            assert found == [held[key] for key in sorted(held, key=lambda key: int(key[0]))]
    assert viewer.get("datasets/shop/rows").json() == {
        "items": [{"id": "1", "qty": "11"}, {"id": "2", "qty": "7"}, {"id": "10", "qty": "5"}],
        "next": None,
        "version": 3,
    }


def test_all_pages_are_of_the_version_that_the_first_one_was_of(
    viewer: Asker, orders: Written
) -> None:
    first = viewer.get("datasets/shop/rows", {"limit": 1}).json()
    publish(orders, rows_of("1=0", "3=0"))
    told = viewer.get("datasets/shop/rows", {"cursor": first["next"]}).json()
    assert told == {
        "items": [{"id": "2", "qty": "7"}, {"id": "10", "qty": "5"}],
        "next": None,
        "version": 3,
    }
    other = viewer.get("datasets/shop/rows", {"cursor": first["next"], "version": 1})
    assert other.status_code == 404


@pytest.mark.parametrize("key", ["10", "id:10", '{"id": "10"}', '{"id": 10}'])
def test_the_row_of_a_key(viewer: Asker, orders: Written, key: str) -> None:
    told = viewer.get("datasets/shop/rows", {"key": key, "version": 1}).json()
    assert told == {"items": [{"id": "10", "qty": "5"}], "next": None, "version": 1}
    publish(orders, rows_of("1=1"))
    assert viewer.get("datasets/shop/rows", {"key": key}).json()["items"] == []


def test_a_key_of_several_columns(viewer: Asker) -> None:
    lines = make_table(make_dataset(), {"order": "bigint", "line": "text"}, ["order", "line"])
    rows: Rows = {(one, two): {"order": one, "line": two} for one in "12" for two in ("a", "b:c")}
    publish(lines, rows)
    wanted = [{"order": "2", "line": "b:c"}]
    for key in (['{"line": "b:c", "order": 2}'], ["2", "b:c"], ["line:b:c", "order:2"]):
        assert viewer.get("datasets/shop/rows", {"key": key}).json()["items"] == wanted
    assert len(viewer.items("datasets/shop/rows", limit=1)) == 4
    refused = viewer.get("datasets/shop/rows", {"key": "2"})
    assert refused.status_code == 400
    assert refused.json()["errors"] == {
        "key": ['give the whole key, such as {"order": "…", "line": "…"}']
    }


@pytest.mark.parametrize(
    "key",
    [
        "x",
        "",
        "1.5",
        "9" * 30,
        "a\0b",
        '{"id": "\\ud800"}',
        '{"other": 1}',
        '{"id": null}',
        "[" * 9_000,
    ],
)
def test_x11_what_is_no_key_is_refused(viewer: Asker, orders: Written, key: str) -> None:
    answer = viewer.get("datasets/shop/rows", {"key": key})
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["key"]


def test_t06_changes_of_a_version_list_keys_and_both_sides(viewer: Asker, orders: Written) -> None:
    changed = {
        "change": "changed",
        "table": "orders",
        "key": {"id": "1"},
        "before": {"id": "1", "qty": "10"},
        "after": {"id": "1", "qty": "11"},
    }
    removed = {
        "change": "removed",
        "table": "orders",
        "key": {"id": "2"},
        "before": {"id": "2", "qty": None},
        "after": None,
    }
    path = "datasets/shop/versions/2/changes"
    assert viewer.items(path) == viewer.items(path, limit=1) == [changed, removed]
    assert viewer.items(path, change="removed", limit=1) == [removed]
    assert viewer.items(path, table="orders", change="added") == []
    first = viewer.items("datasets/shop/versions/1/changes", limit=2)
    assert [(each["change"], each["before"], each["key"]["id"]) for each in first] == [
        ("added", None, key) for key in ("1", "2", "10")
    ]
    both = viewer.items("datasets/shop/diff", **{"from": 1, "to": 2})
    assert both == [changed, removed]
    back = viewer.items("datasets/shop/diff", **{"from": 3, "to": 1}, limit=1)
    assert [(each["change"], each["before"]["qty"], each["after"]["qty"]) for each in back] == [
        ("changed", "11", "10"),
        ("changed", "7", None),
    ]
    assert viewer.items("datasets/shop/diff", **{"from": 3}) == []


def test_several_tables_are_named(viewer: Asker, orders: Written) -> None:
    bills = make_table(orders.table.dataset, {"id": "bigint", "qty": "integer"}, name="bills")
    publish(bills, rows_of("5=1", "6=2"))
    assert viewer.get("datasets/shop/rows", {"version": 3}).json()["version"] == 3  # one then
    for path in ("rows", "schema"):
        refused = viewer.get(f"datasets/shop/{path}")
        assert refused.status_code == 409
        assert "bills, orders" in refused.json()["detail"]
    assert viewer.get("datasets/shop/rows", {"table": "bills", "version": 3}).status_code == 404
    assert viewer.get("datasets/shop/rows", {"table": "none"}).status_code == 404
    assert viewer.items("datasets/shop/rows", table="bills", limit=1) == [
        {"id": "5", "qty": "1"},
        {"id": "6", "qty": "2"},
    ]
    publish(orders, rows_of("1=0"))
    found = viewer.items("datasets/shop/diff", **{"from": 3}, limit=2)
    assert [(each["table"], each["key"]["id"]) for each in found] == [
        ("bills", "5"),
        ("bills", "6"),
        ("orders", "1"),
        ("orders", "2"),
        ("orders", "10"),
    ]
    assert [each["table"] for each in viewer.items("datasets/shop/versions/5/changes")] == [
        "orders"
    ] * 3
    assert viewer.items("datasets/shop/versions/5/changes", table="bills") == []


def test_t10_the_schema_says_since_when_and_until_when(viewer: Asker, orders: Written) -> None:
    add_column(orders, "note", "text")
    publish(orders, rows_of("1=1"))
    drop_column(orders, "qty")
    publish(orders, {("1",): {"id": "1", "qty": "1"}, ("2",): {"id": "2", "note": "x"}})
    told = viewer.get("datasets/shop/schema").json()
    assert (told["version"], told["key"]) == (5, ["id"])
    assert told["table"] == viewer.get("datasets/shop").json()["tables"][0]
    assert told["columns"][0] == {
        "name": "id",
        "source_name": "id",
        "type": "bigint",
        "source_type": "bigint",
        "nullable": False,
        "in_key": True,
        "since": 1,
        "until": None,
    }
    spans = [(each["name"], each["since"], each["until"]) for each in told["columns"]]
    assert spans == [("id", 1, None), ("qty", 1, 5), ("note", 4, None)]
    assert viewer.items("datasets/shop/rows")[1] == {"id": "2", "qty": None, "note": "x"}
    then = viewer.get("datasets/shop/schema", {"version": 3}).json()
    assert [each["name"] for each in then["columns"]] == ["id", "qty"]


def test_what_is_of_the_other_kind_is_refused(viewer: Asker, orders: Written) -> None:
    paths = ["versions/1/entries", "files/a.txt"]
    for path in paths:
        refused = viewer.get(f"datasets/shop/{path}")
        assert refused.status_code == 409
        assert "holds tables" in refused.json()["detail"]
    files = make_workspace().datasets.create(name="files")
    files.versions.create(number=1, file_count=0, size_bytes=0)
    for path in ("schema", "rows", "versions/1/changes"):
        refused = viewer.get(f"datasets/files/{path}")
        assert refused.status_code == 409
        assert "holds files" in refused.json()["detail"]
    assert viewer.get("datasets/files/diff", {"from": 1, "table": "x"}).status_code == 409
    told = viewer.get("datasets/files").json()
    assert (told["kind"], told["row_count"], told["tables"]) == ("files", None, [])


def test_what_is_not_there(viewer: Asker, orders: Written) -> None:
    make_dataset("empty")
    for path in ("schema", "rows", "schema?version=9", "versions/1/changes", "diff?from=1"):
        assert viewer.get(f"datasets/empty/{path}").status_code == 404, path
    for path in ("schema?version=9", "rows?version=9", "versions/9/changes", "diff?from=9"):
        assert viewer.get(f"datasets/shop/{path}").status_code == 404, path


@pytest.mark.parametrize(
    "cursor",
    ["x", "AAAA", "WzEsIm9yZGVycyJd", "WzEsMiwib3JkZXJzIiwieCJd", "WzEsIm9yZGVycyIsIngiXQ"],
)
def test_a_cursor_that_nobody_gave_leads_nowhere(
    viewer: Asker, orders: Written, cursor: str
) -> None:
    for path in ("rows", "versions/2/changes", "diff?from=1&to=2"):
        path += f"{'&' if '?' in path else '?'}cursor={cursor}"
        answer = viewer.get(f"datasets/shop/{path}")
        assert answer.status_code in (200, 404), path
        assert answer.status_code == 404 or cursor == "WzEsIm9yZGVycyJd", path


def test_t20_tables_of_another_workspace_are_not_there(orders: Written) -> None:
    other = create_token(make_workspace("lab"), name="ci", role=Role.ADMIN)[1]
    paths = [
        "",
        "/versions",
        "/schema",
        "/rows",
        "/rows?key=1",
        "/versions/2/changes",
        "/diff?from=1",
    ]
    names = ["shop", str(orders.table.dataset_id)]
    for path in paths:
        for name in names:
            theirs = _ask_lab(other, f"datasets/{name}{path}")
            nothing = _ask_lab(other, f"datasets/none{path}")
            assert theirs.status_code == nothing.status_code == 404
            assert theirs.content == nothing.content
    viewer = asker(Role.VIEWER)
    assert all(viewer.get(f"datasets/shop{path}").status_code == 200 for path in paths)


def _ask_lab(token: str, path: str) -> Any:
    return Client().get(f"/api/workspaces/lab/{path}", headers={"Authorization": f"Bearer {token}"})


def test_t16_hostile_names_and_values_by_rest(viewer: Asker) -> None:
    names = ['a"b', "x; DROP TABLE victim;--", "select", "%s {}", "tab\there", "Größe"]
    table = make_table(
        make_dataset(),
        dict.fromkeys(["id", *names], "text"),
        name='t"; DROP TABLE victim;-- %s',
        sources={"select": "s" * 80},
    )
    rows: Rows = {(name,): {"id": name} | dict.fromkeys(names, name) for name in [*names, "", "\n"]}
    publish(table, rows)
    publish(table, {key: {**values, "Größe": None} for key, values in rows.items()})
    for number in (1, 2):
        found = viewer.items("datasets/shop/rows", version=number, limit=3)
        assert {(row["id"],): row for row in found} == table.held[number]
    for key in rows:
        told = viewer.get("datasets/shop/rows", {"key": json.dumps({"id": key[0]})}).json()
        assert [row["id"] for row in told["items"]] == [key[0]]
    assert len(viewer.items("datasets/shop/versions/2/changes", limit=2)) == len(rows)
    columns = viewer.get("datasets/shop/schema").json()["columns"]
    assert [each["name"] for each in columns] == ["id", *names]
    assert {each["source_name"] for each in columns} == {"id", *names, "s" * 80} - {"select"}
    assert TableColumn.objects.count() == len(columns)

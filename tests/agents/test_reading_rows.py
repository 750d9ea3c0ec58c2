"""`query_table`, `list_entities` and `preview_rows`: rows by conditions, of one version on all pages, wherever they lie."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.models import Connector
from syncjobs.models import SyncJob, SyncMode
from tests.agents.asking import Agent, agent
from tests.agents.things import checked, make_file_job
from tests.api.conftest import shop, shop_database
from tests.hosts.databases import Database
from tests.rows import make_version, run
from tests.rowwork.conftest import connector_of_rows, database, make_row_job, orders
from tests.rowwork.memory import MemoryTable
from tests.rowwork.test_destinations import job, make_filling_job, warehouse
from tests.tables.writing import Rows, Written, make_dataset, make_table, publish
from workspaces.models import Role

__all__ = [  # fixtures
    "connector_of_rows", "database", "job", "make_filling_job", "make_row_job", "orders", "shop", "shop_database",
    "warehouse",
]  # fmt: skip
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bills(db: None) -> Written:
    """A dataset `shop` with a table of 45 rows, in two versions."""
    made = make_table(make_dataset(), {"id": "bigint", "day": "date", "name": "text"}, name="bills")
    rows: Rows = {
        (str(n),): {"id": str(n), "day": f"2026-01-{n % 28 + 1:02}", "name": f"bill {n}"}
        for n in range(1, 46)
    }
    publish(made, rows)
    publish(made, {key: {**row, "name": "new"} for key, row in rows.items() if key != ("1",)})
    return made


def rows_of(who: Agent, **given: Any) -> list[list[str | None]]:
    """Of all pages."""
    found: list[list[str | None]] = []
    cursor: str | None = None
    while True:
        told = checked(who, "query_table", **given, **({"cursor": cursor} if cursor else {}))
        found += told["rows"]
        cursor = told["next"]
        if cursor is None:
            return found


def test_rows_are_lists_in_the_order_of_their_columns(bills: Written) -> None:
    told = checked(agent(), "query_table", dataset="shop", limit=2, version=1)
    assert told["columns"] == [
        {"name": "id", "type": "bigint"}, {"name": "day", "type": "date"}, {"name": "name", "type": "text"},
    ]  # fmt: skip
    assert told["rows"] == [["1", "2026-01-02", "bill 1"], ["2", "2026-01-03", "bill 2"]]
    assert told["untrusted"] is True


def test_all_pages_are_of_one_version(bills: Written) -> None:
    who = agent()
    first = checked(who, "query_table", dataset="shop", columns=["id"])
    publish(bills, {("7",): {"id": "7", "day": "2026-01-01", "name": "last"}})
    told = checked(
        who, "query_table", dataset="shop", columns=["id"], cursor=first["next"], limit=100
    )
    assert [row[0] for row in first["rows"] + told["rows"]] == [str(n) for n in range(2, 46)]
    assert rows_of(who, dataset="shop", columns=["name", "id"]) == [["last", "7"]]
    assert len(rows_of(who, dataset="shop", version=1, limit=7)) == 45


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ([{"column": "id", "op": "eq", "value": 5}], ["5"]),
        ([{"column": "id", "op": "eq", "value": "5"}], ["5"]),
        ([{"column": "id", "op": "in", "value": [5, "7", 99]}], ["5", "7"]),
        ([{"column": "day", "op": "ge", "value": "2026-01-28"}], ["27"]),
        (
            [
                {"column": "day", "op": "ge", "value": "2026-01-27"},
                {"column": "id", "op": "lt", "value": 27},
            ],
            ["26"],
        ),
        (
            [{"column": "name", "op": "like", "value": "bill 4_"}],
            ["40", "41", "42", "43", "44", "45"],
        ),
        ([{"column": "name", "op": "is_null"}], []),
        (
            [
                {"column": "name", "op": "is_null", "value": False},
                {"column": "id", "op": "le", "value": 2},
            ],
            ["1", "2"],
        ),
    ],
)
def test_conditions_choose_rows(bills: Written, where: list[Any], ids: list[str]) -> None:
    found = rows_of(agent(), dataset="shop", version=1, columns=["id"], where=where, limit=3)
    assert found == [[one] for one in ids]


@pytest.mark.parametrize(
    "order", ["day", ["day"], [{"column": "day"}], [{"column": "day", "direction": "asc"}, "id"]]
)
def test_rows_are_sorted(bills: Written, order: Any) -> None:
    found = rows_of(
        agent(), dataset="shop", version=1, columns=["day", "id"], order_by=order, limit=4
    )
    assert found == sorted(found, key=lambda row: (row[0], int(row[1] or 0)))
    assert len(found) == 45


def test_rows_are_sorted_downwards(bills: Written) -> None:
    order = [{"column": "id", "direction": "desc"}]
    found = rows_of(agent(), dataset="shop", columns=["id"], order_by=order, limit=20)
    assert found == [[str(n)] for n in range(45, 1, -1)]


@pytest.mark.parametrize(
    ("given", "argument"),
    [
        ({"columns": ["nothing"]}, "columns"),
        ({"columns": []}, "columns"),
        ({"order_by": "id; DROP TABLE bills"}, "order_by"),
        ({"order_by": [{"column": "id", "direction": "down"}]}, "order_by"),
        ({"where": [{"column": "x", "op": "eq", "value": 1}]}, "where.0.column"),
        ({"where": [{"column": "id", "op": "regex", "value": 1}]}, "where"),
        ({"where": [{"column": "id", "op": "eq"}]}, "where.0.value"),
        ({"where": [{"column": "id", "op": "eq", "value": [1]}]}, "where.0.value"),
        ({"where": [{"column": "id", "op": "in", "value": []}]}, "where.0.value"),
        ({"where": [{"column": "id", "op": "in", "value": [None]}]}, "where.0.value"),
        ({"where": [{"column": "id", "op": "is_null", "value": "no"}]}, "where.0.value"),
        ({"where": [{"column": "name", "op": "like", "value": 5}]}, "where.0.value"),
        ({"where": [{"column": "name", "op": "eq", "value": "a\0b"}]}, "where.0.value"),
        ({"where": [{"column": "id", "op": "eq", "value": "x"}]}, "where"),
        ({"where": [{"column": "day", "op": "lt", "value": "yesterday-ish"}]}, "where"),
        ({"cursor": "x"}, "cursor"),
        ({"where": "1=1"}, "where"),
    ],
)
def test_what_cannot_be_asked_is_told(bills: Written, given: dict[str, Any], argument: str) -> None:
    error = checked(agent(), "query_table", dataset="shop", **given)["error"]
    assert error["code"] == "invalid_arguments"
    assert [name.startswith(argument) for name in error["errors"]] == [True], error
    assert "bill 1" not in str(error)


def test_a_cursor_is_of_its_own_list(bills: Written) -> None:
    who = agent()
    where = [{"column": "id", "op": "gt", "value": 3}]
    cursor = checked(who, "query_table", dataset="shop", where=where, limit=2)["next"]
    assert "error" not in checked(who, "query_table", dataset="shop", where=where, cursor=cursor)
    for other in ({}, {"where": where, "order_by": "day"}, {"where": where, "version": 1}):
        told = checked(who, "query_table", dataset="shop", cursor=cursor, **other)
        assert list(told["error"]["errors"]) == ["cursor"]


def test_one_of_several_tables_is_named(bills: Written) -> None:
    other = make_table(bills.table.dataset, {"id": "bigint"}, name="public.items")
    publish(other, {("1",): {"id": "1"}})
    error = checked(agent(), "query_table", dataset="shop")["error"]
    assert (error["code"], "shop/TABLE" in error["detail"], "public.items" in error["detail"]) == (
        "invalid_arguments", True, True,
    )  # fmt: skip
    assert rows_of(agent(), dataset="shop/public.items") == [["1"]]
    assert len(rows_of(agent(), dataset=f"{bills.table.dataset_id}/bills")) == 44
    assert checked(agent(), "query_table", dataset="shop/none")["error"]["code"] == "not_found"


def test_what_holds_files_is_read_by_other_tools(bills: Written) -> None:
    make_file_job(name="files")
    told = checked(agent(), "query_table", dataset="files")["error"]
    assert (told["code"], "list_files" in told["detail"]) == ("invalid_arguments", True)
    told = checked(agent(), "list_files", dataset="shop")["error"]
    assert (told["code"], "query_table" in told["detail"]) == ("invalid_arguments", True)


def test_rows_that_are_too_long_are_cut_or_left_to_the_next_page(db: None) -> None:
    made = make_table(make_dataset(), {"id": "bigint", **{f"c{n}": "text" for n in range(9)}})
    rows: Rows = {
        (str(n),): {"id": str(n), **{f"c{m}": "ü" * 20_000 for m in range(9)}} for n in range(5)
    }
    publish(made, rows)
    who = agent()
    found = rows_of(who, dataset="shop", limit=100)
    assert [row[0] for row in found] == list("01234")
    assert all(cell is not None and cell.endswith("…") for row in found for cell in row[1:])
    [[whole], *_] = rows_of(
        who, dataset="shop", columns=["c0"], where=[{"column": "id", "op": "eq", "value": 1}]
    )
    assert whole == "ü" * 20_000


def test_rows_in_the_database_of_a_connector_are_read_as_those_at_home(
    job: SyncJob, orders: MemoryTable, warehouse: Database
) -> None:
    run(job)
    orders.touch(orders.find(id="7"), name="changed")
    run(job, mode=SyncMode.FULL)
    given = {
        "dataset": job.dataset.name,
        "columns": ["id", "name"],
        "where": [{"column": "id", "op": "eq", "value": 7}],
    }
    [now], [before] = rows_of(agent(), **given), rows_of(agent(), **given, version=1)
    assert now == ["7", "changed"]
    assert before[1] != "changed"
    error = checked(
        agent(),
        "query_table",
        dataset=job.dataset.name,
        where=[{"column": "id", "op": "eq", "value": "x"}],
    )
    assert error["error"]["code"] == "invalid_arguments"
    Connector.objects.filter(kind="sql").update(port=1)
    assert checked(agent(), "query_table", **given)["error"]["code"] == "unavailable"


def test_tables_of_a_far_end_are_listed_and_previewed(shop: Connector) -> None:
    who = agent(Role.OPERATOR)
    found: list[Any] = []
    cursor: str | None = None
    while True:
        more: dict[str, Any] = {"cursor": cursor} if cursor else {}
        told = checked(who, "list_entities", connector=shop.name, limit=2, **more)
        found += told["items"]
        cursor = told["next"]
        if cursor is None:
            break
    names = [one["name"] for one in found]
    assert len(names) == len(set(names)) > 2
    assert "public.orders" in names
    entity = next(one["entity"] for one in found if one["name"] == "public.orders")
    for called in ("public.orders", entity):
        told = checked(who, "preview_rows", connector=shop.name, entity=called, limit=3)
        assert told["columns"][0] == {"name": "id", "type": "bigint"}
        assert told["rows"][0][:3] == ["1", "customer 1", "1"]
        assert len(told["rows"]) == 3
    for wrong, code in (
        ("public.none", "not_found"),
        ({"tables": 1}, "invalid_arguments"),
        ("\0", "not_found"),
    ):
        assert (
            checked(who, "preview_rows", connector=shop.name, entity=wrong)["error"]["code"] == code
        )


def test_files_of_a_dataset_are_listed_and_previewed_as_tables(db: None) -> None:
    job = make_file_job(name="drop")
    make_version(
        job.dataset, {"a/1.csv": b"id,day\n1,\n", "a/2.csv": b"id,day\n2,\n", "x.bin": b"n\n"}
    )
    who = agent(Role.OPERATOR)
    first = checked(who, "list_entities", dataset="drop", limit=1)
    assert [one["name"] for one in first["items"]] == ["a/1.csv"]
    rest = checked(who, "list_entities", dataset="drop", cursor=first["next"])
    assert ([one["name"] for one in rest["items"]], rest["next"]) == (["a/2.csv"], None)
    assert checked(who, "list_entities", dataset="drop", format="xlsx")["items"] == []
    for entity in ("a/*.csv", {"path": "a/*.csv", "format": "csv"}):
        told = checked(who, "preview_rows", dataset="drop", entity=entity)
        assert [row[0] for row in told["rows"]] == ["1", "2"]
    told = checked(who, "preview_rows", dataset="drop", entity="x.bin", format="csv")
    assert told["columns"] == [{"name": "n", "type": "text"}]
    for wrong in ("none.csv", "x.bin"):
        error = checked(who, "preview_rows", dataset="drop", entity=wrong)["error"]
        assert error["code"] == "not_found"
    both = {"dataset": "drop", "connector": "x"}
    for given in ({}, both):
        assert checked(who, "list_entities", **given)["error"]["code"] == "invalid_arguments"


def test_a_far_end_without_tables_says_so(db: None) -> None:
    connector = make_file_job().connector
    assert connector is not None
    who = agent(Role.OPERATOR)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("list_entities", {}),
        ("preview_rows", {"entity": "x"}),
    ]
    for tool, more in asked:
        error = checked(who, tool, connector=connector.name, **more)["error"]
        assert (error["code"], list(error["errors"])) == ("invalid_arguments", ["connector"])


def test_what_keeps_a_far_end_from_being_asked_is_told_by_its_code(shop: Connector) -> None:
    Connector.objects.filter(pk=shop.pk).update(port=1)
    error = checked(agent(Role.OPERATOR), "list_entities", connector=shop.name)["error"]
    assert error["code"] == "auth_config"  # its secret is of another port

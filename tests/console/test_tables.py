"""A dataset of tables in the console: rows of each version, columns, changes, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from datasets.models import Dataset
from tests.console.conftest import NASTY, Tenant, make_person
from tests.console.urls import page_of, press
from tests.tables.writing import (
    Rows,
    Written,
    add_column,
    drop_column,
    make_dataset,
    make_table,
    publish,
)
from workspaces.models import Member, Role

pytestmark = pytest.mark.django_db(transaction=True)


def rows_of(**values: str | None) -> Rows:
    return {(key[1:],): {"id": key[1:], "note": value} for key, value in values.items()}


@pytest.fixture
def orders(acme: Tenant) -> Written:
    """Four versions: a column comes, and another goes."""
    written = make_table(make_dataset(), {"id": "bigint", "note": "text"})
    publish(written, rows_of(n1="one", n2="", n10=None))
    publish(written, rows_of(n1=NASTY, n10="x" * 500))
    add_column(written, "price", "numeric(10,2)")
    publish(written, {("1",): {"id": "1", "note": NASTY, "price": "1.50"}})
    drop_column(written, "note")
    publish(written, {("1",): {"id": "1", "note": NASTY, "price": "2.50"}})
    return written


@pytest.fixture
def viewer(client: Client, orders: Written) -> Client:
    person = make_person("vera")
    Member.objects.create(workspace=orders.table.dataset.workspace, user=person, role=Role.VIEWER)
    client.force_login(person)
    return client


def shown(client: Client, dataset: Dataset, **asked: Any) -> str:
    answer = client.get(page_of(dataset), asked)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_rows_of_a_version(viewer: Client, orders: Written) -> None:
    dataset = orders.table.dataset
    first = shown(viewer, dataset, version=1)
    assert first.index(">1<") < first.index(">2<") < first.index(">10<")
    assert "NULL" in first
    assert "price" not in first
    second = shown(viewer, dataset, version=2)
    assert NASTY not in second
    assert "&lt;img src=x" in second
    assert f"{'x' * 200}…" in second
    assert f"{orders.table.schema}.orders" in second


def test_all_rows_are_reached_by_next(viewer: Client, orders: Written) -> None:
    publish(orders, {(str(n),): {"id": str(n)} for n in range(1, 71)})
    page = viewer.get(page_of(orders.table.dataset))
    assert len(page.context["rows"]) == 50
    after = page.context["next_after"]
    rest = viewer.get(page_of(orders.table.dataset), {"after": after, "version": 5})
    assert [row[0] for row in rest.context["rows"]] == [str(n) for n in range(51, 71)]
    assert rest.context["next_after"] is None


def test_columns_and_since_when(viewer: Client, orders: Written) -> None:
    told = shown(viewer, orders.table.dataset, view="columns")
    assert "numeric(10,2)" in told
    assert "the source no longer has it" in told


def test_what_changed(viewer: Client, orders: Written) -> None:
    dataset = orders.table.dataset
    told = viewer.get(page_of(dataset), {"view": "changes"})
    [change] = told.context["changes"]
    assert (change.change, change.key) == ("changed", '{"id": "1"}')
    assert [(cell.column, cell.was, cell.text) for cell in change.cells] == [
        ("price", "1.50", "2.50")
    ]
    told = viewer.get(f"{page_of(dataset)}?view=changes&version=2&against=1")
    kinds = [each.change for each in told.context["changes"]]
    assert kinds == ["changed", "removed", "changed"]
    assert "&lt;img src=x" in told.content.decode()
    first = viewer.get(f"{page_of(dataset)}?view=changes&version=1")
    assert len(first.context["changes"]) == 3


def test_which_table_is_chosen(viewer: Client, orders: Written) -> None:
    dataset = orders.table.dataset
    bills = make_table(dataset, {"id": "bigint"}, name="bills")
    publish(bills, {("7",): {"id": "7"}})
    assert "Choose one of the tables." in shown(viewer, dataset)
    assert ">7<" in shown(viewer, dataset, table="bills")


@pytest.mark.parametrize(
    "asked",
    [
        {"table": "none"},
        {"table": "a\0b"},
        {"after": "x"},
        {"after": '["x"]'},
        {"after": '["1", "2"]'},
        {"after": '["\\ud800"]'},
        {"after": "[" * 5_000},
        {"view": "changes", "against": "99"},
        {"view": "changes", "after": '["orders", "x"]'},
        {"view": "strange"},
        {"version": "99"},
    ],
)
def test_made_up_addresses_are_answered(
    viewer: Client, orders: Written, asked: dict[str, str]
) -> None:
    shown(viewer, orders.table.dataset, **asked)


def test_the_way_back(viewer: Client, orders: Written) -> None:
    dataset = orders.table.dataset
    version = dataset.versions.get(number=1)
    assert "Roll back" not in shown(viewer, dataset, version=1)
    assert viewer.post(press(version, "rollback")).status_code == 403
    Member.objects.update(role=Role.ADMIN)
    assert "Roll back" in shown(viewer, dataset, version=1)
    viewer.post(press(version, "rollback"))
    page = viewer.get(page_of(dataset))
    assert page.context["version"].number == 5
    assert [row[0] for row in page.context["rows"]] == ["1", "2", "10"]


def test_t20_another_workspaces_tables_have_no_page(viewer: Client, orders: Written) -> None:
    theirs = make_table(make_dataset("theirs", "lab"), {"id": "bigint"})
    publish(theirs, {("1",): {"id": "1"}})
    answer = viewer.get(page_of(theirs.table.dataset))
    assert answer.status_code in (302, 404)

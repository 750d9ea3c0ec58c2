"""`rows`, `diff`, `rollback` and `checkout` of datasets of tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tests.cli.test_datasets import call
from tests.rows import make_workspace
from tests.tables.writing import Rows, Written, make_dataset, make_table, publish

pytestmark = pytest.mark.django_db(transaction=True)

FIRST: Rows = {
    ("1",): {"id": "1", "note": "", "price": "1.50", "at": "2026-03-29 01:30:00.123456+00"},
    ("2",): {"id": "2", "note": 'a,b "c"\nd', "price": None, "at": None},
    ("10",): {"id": "10", "note": None, "price": "2.00", "at": None},
}
SECOND: Rows = {
    ("1",): {"id": "1", "note": "é", "price": "1.50", "at": "2026-03-29 01:30:00.123456+00"},
    ("10",): {"id": "10", "note": None, "price": "2.00", "at": "infinity"},
}


@pytest.fixture
def orders() -> Written:
    types = {"id": "bigint", "note": "text", "price": "numeric(10,2)", "at": "timestamptz"}
    written = make_table(make_dataset(), types)
    written.table.columns.filter(name="at").update(type="timestamp with time zone")
    publish(written, FIRST)
    publish(written, SECOND)
    return written


def test_rows_as_csv(orders: Written, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rows", "shop", "--version", "1")
    assert capsys.readouterr().out == (
        'id,note,price,at\n1,"",1.50,2026-03-29 01:30:00.123456+00\n2,"a,b ""c""\nd",,\n10,,2.00,\n'
    )
    call_command("rows", "shop")
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_rows_as_json(orders: Written, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rows", "shop", "--format", "json", "--version", "1", "--table", "orders")
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == list(FIRST.values())


def test_rows_in_a_file(orders: Written, tmp_path: Path) -> None:
    target = tmp_path / "orders.csv"
    call_command("rows", "shop", "--output", str(target))
    assert target.read_text().splitlines()[1] == "1,é,1.50,2026-03-29 01:30:00.123456+00"
    assert [path.name for path in tmp_path.iterdir()] == ["orders.csv"]
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("rows", "shop", "--output", str(tmp_path / "none" / "orders.csv"))


def test_rows_as_parquet(
    orders: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "o'rders.parquet"
    words = ["rows", "shop", "--format", "parquet", "--output", str(target)]
    call_command(*words, "--version", "1")
    with duckdb.connect() as session:
        read = session.read_parquet(str(target))
        assert [str(kind) for kind in read.types] == [
            "BIGINT",
            "VARCHAR",
            "DECIMAL(10,2)",
            "TIMESTAMP WITH TIME ZONE",
        ]
        cells = session.execute(
            "SELECT id::text, note, price::text FROM read_parquet(?)", [str(target)]
        ).fetchall()
    assert cells == [(row["id"], row["note"], row["price"]) for row in FIRST.values()]
    assert capsys.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    with pytest.raises(CommandError, match="--output"):
        call_command("rows", "shop", "--format", "parquet")


def test_what_parquet_cannot_hold_stays_text(
    orders: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(orders, {("1",): {"id": "1", "at": "0044-03-15 12:00:00+00 BC"}})
    target = tmp_path / "orders.parquet"
    call_command("rows", "shop", "--format", "parquet", "--output", str(target))
    with duckdb.connect() as session:
        read = session.read_parquet(str(target))
        assert [str(kind) for kind in read.types][-1] == "VARCHAR"
        assert read.fetchall()[0][-1] == "0044-03-15 12:00:00+00 BC"
    assert "dates and times stay text" in capsys.readouterr().err


def test_which_table_and_version_is_meant(orders: Written) -> None:
    make_workspace().datasets.create(name="files")
    bills = make_table(orders.table.dataset, {"id": "bigint"}, name="bills")
    publish(bills, {("1",): {"id": "1"}})
    for words, why in (
        (["shop"], "--table"),
        (["shop", "--table", "none"], "no table none"),
        (["shop", "--table", "bills", "--version", "1"], "no table bills"),
        (["shop", "--version", "9"], "version 9"),
        (["files"], "holds files"),
    ):
        with pytest.raises(CommandError, match=why):
            call_command("rows", *words)
    with pytest.raises(CommandError, match="holds tables"):
        call_command("checkout", "shop", "/nowhere")


def test_t06_diff_lists_keys(orders: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diff", "shop", "1", "2") == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        'changed  orders {"id": "1"}',
        'removed  orders {"id": "2"}',
        'changed  orders {"id": "10"}',
    ]
    assert "v1 to v2: 0 added, 2 changed, 1 removed" in told.err
    assert call("diff", "shop", "2", "1", "--json") == 1
    added = json.loads(capsys.readouterr().out)["items"][1]
    assert added == {
        "change": "added",
        "table": "orders",
        "key": {"id": "2"},
        "before": None,
        "after": FIRST[("2",)],
    }
    assert call("diff", "shop", "2", "2") == 0


def test_rollback(orders: Written, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("rollback", "shop", "1")
    assert capsys.readouterr().out == (
        "shop v3 holds what v1 does; rows: 1 added, 2 changed, 0 removed\n"
    )
    assert call("diff", "shop", "1", "3") == 0
    capsys.readouterr()
    call_command("rollback", "shop", "2", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["number"], told["restores"], told["rows"]) == (4, 2, 2)
    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("rollback", "shop", "2")
    with pytest.raises(CommandError, match="no version 9"):
        call_command("rollback", "shop", "9")


@pytest.mark.process
@pytest.mark.parametrize("form", ["csv", "json"])
def test_whoever_has_read_enough_hears_no_complaint(form: str) -> None:
    written = make_table(make_dataset(), {"id": "bigint", "note": "text"})
    rows: Rows = {(str(n),): {"id": str(n), "note": "x" * 2_000} for n in range(300)}
    publish(written, rows)
    database = settings.DATABASES["default"]
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{database['NAME']}"
    command = f"{sys.executable} manage.py rows shop --workspace acme --format {form} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""

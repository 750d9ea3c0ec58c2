"""Which types hold all of another's values, and what becomes of columns that are others than before."""

from __future__ import annotations

import pytest

from syncjobs.core.schema_drift import (
    ColumnStep,
    DriftKind,
    KnownColumn,
    SchemaPlan,
    SourceColumn,
    is_wider,
    plan_schema,
)

WIDER = [
    ("integer", "smallint"), ("bigint", "integer"), ("numeric", "bigint"), ("numeric(20,0)", "bigint"),
    ("numeric(20,4)", "numeric(10,2)"), ("numeric", "numeric(10,2)"), ("double precision", "real"),
    ("text", "character varying(10)"), ("character varying(20)", "character varying(10)"),
    ("character varying", "character varying(10)"), ("text", "character(5)"), ("bigint[]", "integer[]"),
    ("timestamp without time zone", "timestamp(3) without time zone"), ("bit varying", "bit varying(4)"),
]  # fmt: skip
OTHERS = [
    ("text", "bigint"), ("text", "jsonb"), ("bigint", "text"), ("double precision", "bigint"),
    ("numeric(10,4)", "numeric(10,2)"), ("numeric(10,0)", "bigint"), ("real", "numeric"),
    ("timestamp with time zone", "timestamp without time zone"), ("uuid", "text"), ("bit(4)", "bit(3)"),
    ("character(9)", "character varying(5)"), ("integer", "integer[]"),
]  # fmt: skip


@pytest.mark.parametrize(("wide", "narrow"), WIDER)
def test_a_wider_type_holds_each_value(wide: str, narrow: str) -> None:
    assert is_wider(wide, narrow)
    assert not is_wider(narrow, wide)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_types_that_are_no_wider_are_not_taken_for_it(one: str, other: str) -> None:
    assert not is_wider(one, other)


KNOWN = [
    KnownColumn("id", "id", "bigint"),
    KnownColumn("qty", "qty", "integer"),
    KnownColumn("old", "old", "text", current=False),
]


def plan(*found: tuple[str, str], **choices: object) -> SchemaPlan:
    columns = [SourceColumn(name, kind, kind) for name, kind in (("id", "bigint"), *found)]
    return plan_schema(KNOWN, columns, **choices)  # type: ignore[arg-type]  # of several types


def kinds_of(planned: SchemaPlan) -> list[tuple[str, DriftKind]]:
    return [(drift.column, drift.kind) for drift in planned.drifts]


def test_the_same_columns_are_no_change() -> None:
    same = plan(("qty", "integer"))
    assert (kinds_of(same), same.alters, same.waits) == ([], False, False)


def test_a_narrower_column_is_held_as_it_was() -> None:
    narrower = plan(("qty", "smallint"))
    assert (kinds_of(narrower), narrower.columns[1].type) == ([], "integer")


def test_a_column_that_comes_back_fills_its_old_place() -> None:
    back = plan(("qty", "integer"), ("old", "text"))
    assert kinds_of(back) == [("old", DriftKind.ADDED)]
    assert (back.columns[2].step, back.columns[2].name) == (ColumnStep.KEEP, "old")


def test_a_column_that_comes_back_as_another_type_waits_for_a_person() -> None:
    assert plan(("qty", "integer"), ("old", "bytea")).waits


def test_nothing_of_a_first_publication_waits() -> None:
    first = plan_schema([], [SourceColumn("id", "int", "integer")], holds=True)
    assert (first.waits, first.drifts, first.columns[0].step) == (False, (), ColumnStep.ADD)

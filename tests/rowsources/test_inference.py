"""Which type holds a value that is only text: held against what PostgreSQL makes of it."""

from __future__ import annotations

import itertools
from functools import reduce

import pytest
from django.db import connection

from farends.rows.contract import Column
from farends.rows.inference import (
    ValueType,
    classify_number,
    classify_string,
    classify_text,
    join_columns,
    keeps_text,
    make_column,
    type_of,
    widen,
)

NUMBERS = {
    "0": ValueType.BIGINT,
    "9007199254740993": ValueType.BIGINT,
    "9223372036854775807": ValueType.BIGINT,
    "-9223372036854775808": ValueType.BIGINT,
    "9223372036854775808": ValueType.NUMERIC,
    "-9223372036854775809": ValueType.NUMERIC,
    "1234567890123456789012345": ValueType.NUMERIC,
    "0.1234567890123456789012345": ValueType.NUMERIC,
    "1.10": ValueType.NUMERIC,
    "1e5": ValueType.DOUBLE,
    "-2.5E-3": ValueType.DOUBLE,
    "1.2345678901234567890e5": ValueType.NUMERIC,  # a double would round it
    "1e400": ValueType.NUMERIC,
    "1e-400": ValueType.NUMERIC,
    "1e99999999": ValueType.TEXT,
    "007": ValueType.TEXT,
    "+1": ValueType.TEXT,
    "1.": ValueType.TEXT,
    "NaN": ValueType.TEXT,
    "\u0661": ValueType.TEXT,  # a digit, and none of ASCII
}
TIMES = {
    "2026-01-01": ValueType.DATE,
    "2024-02-29": ValueType.DATE,
    "2026-02-29": ValueType.TEXT,
    "2026-13-01": ValueType.TEXT,
    "0000-01-01": ValueType.TEXT,
    "2026-01-01T00:00": ValueType.TIMESTAMP,
    "2026-01-01 23:59:59.123456": ValueType.TIMESTAMP,
    "2026-01-01T00:00:00Z": ValueType.TIMESTAMPTZ,
    "2026-01-01T00:00:00.5+05:30": ValueType.TIMESTAMPTZ,
    "2026-01-01 00:00:00-08": ValueType.TIMESTAMPTZ,
    "2026-01-01T00:00:00.123456000Z": ValueType.TIMESTAMPTZ,
    "2026-01-01T00:00:00.123456789Z": ValueType.TEXT,  # PostgreSQL keeps microseconds
    "2026-01-01T24:00:00Z": ValueType.TEXT,
    "2026-01-01T23:59:60Z": ValueType.TEXT,
    "2026-01-01T00:00:00+25:00": ValueType.TEXT,
    "2026-W01-1": ValueType.TEXT,
    "20260101": ValueType.TEXT,
}


@pytest.mark.parametrize(("text", "kind"), NUMBERS.items())
def test_a_number_gets_the_narrowest_type_that_holds_it_exactly(text: str, kind: ValueType) -> None:
    assert classify_number(text) is kind


@pytest.mark.parametrize(("text", "kind"), TIMES.items())
def test_a_time_is_one_only_where_postgresql_holds_it_exactly(text: str, kind: ValueType) -> None:
    assert classify_string(text) is kind


def test_a_number_of_a_million_digits_is_text_and_costs_no_conversion() -> None:
    assert classify_number("9" * 1_000_000) is ValueType.TEXT
    assert classify_number("9" * 50_000) is ValueType.NUMERIC


@pytest.mark.django_db
def test_postgresql_takes_every_value_in_its_type_and_gives_it_back() -> None:
    typed = {
        text: kind for text, kind in {**NUMBERS, **TIMES}.items() if kind is not ValueType.TEXT
    }
    with connection.cursor() as cursor:
        for text, kind in typed.items():
            if kind in (ValueType.DATE, ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ):
                cursor.execute(f"SELECT %s::{kind} = %s::timestamptz", [text, text])
            else:
                cursor.execute(f"SELECT %s::{kind}::numeric = %s::numeric", [text, text])
            assert cursor.fetchone() == (True,), text


def infer_texts(cells: list[str | None]) -> ValueType:
    return reduce(
        widen, [classify_text(cell) for cell in cells if cell is not None], ValueType.NULL
    )


def test_csv_cells_are_numbers_times_and_booleans_only_where_nothing_is_lost() -> None:
    assert infer_texts(["1", None, "20"]) is ValueType.BIGINT
    assert infer_texts(["1", "2.50"]) is ValueType.NUMERIC
    assert infer_texts(["1e5", "2e5"]) is ValueType.DOUBLE
    assert infer_texts(["1e5", "2"]) is ValueType.NUMERIC
    assert infer_texts(["12345", "00501"]) is ValueType.TEXT
    assert infer_texts(["true", "false"]) is ValueType.BOOLEAN
    assert infer_texts(["true", "1"]) is ValueType.TEXT
    assert infer_texts(["2026-01-01", "2026-01-01T10:00:00Z"]) is ValueType.TIMESTAMPTZ
    assert infer_texts([None, None]) is ValueType.NULL
    assert infer_texts([""]) is ValueType.TEXT
    assert classify_text("-") is ValueType.TEXT


def test_widening_is_a_lattice() -> None:
    kinds = list(ValueType)
    for one, other in itertools.product(kinds, kinds):
        both = widen(one, other)
        assert both is widen(other, one)
        assert widen(both, one) is both
        assert widen(ValueType.NULL, one) is one
        assert widen(ValueType.TEXT, one) is ValueType.TEXT
    for one, other, third in itertools.product(kinds, kinds, kinds):
        assert widen(widen(one, other), third) is widen(one, widen(other, third))


@pytest.mark.django_db
def test_a_type_keeps_its_texts_only_where_a_cast_makes_the_same_value() -> None:
    samples = {**NUMBERS, **TIMES, "true": ValueType.BOOLEAN, '{"b":1, "a":2}': ValueType.JSONB}
    samples["True"] = ValueType.BOOLEAN
    lost = set()
    with connection.cursor() as cursor:
        for (text, narrow), wide in itertools.product(samples.items(), ValueType):
            if narrow is ValueType.TEXT or widen(narrow, wide) is not wide:
                continue
            cursor.execute(f"SELECT (%s::{narrow})::{wide}::text = %s::{wide}::text", [text, text])
            if cursor.fetchone() == (False,):
                lost.add((narrow, wide))
    assert lost
    assert not [pair for pair in lost if keeps_text(*pair)]
    assert keeps_text(ValueType.BIGINT, ValueType.NUMERIC)


def test_a_column_without_values_is_text_that_may_become_anything() -> None:
    empty = make_column("deleted", ValueType.NULL)
    assert (empty.type, type_of(empty)) == ("text", ValueType.NULL)
    later = make_column("deleted", ValueType.TIMESTAMPTZ)
    assert join_columns([empty], [later]) == (later,)


def test_what_a_table_has_is_never_narrowed_by_what_fewer_values_show() -> None:
    known = (make_column("id", ValueType.TEXT), make_column("n", ValueType.BIGINT))
    found = [make_column("n", ValueType.NUMERIC), make_column("id", ValueType.BIGINT)]
    new = make_column("new", ValueType.JSONB)
    assert join_columns(known, [*found, new]) == (known[0], found[0], new)


def test_a_type_that_a_person_chose_stays() -> None:
    chosen = Column("id", "string", "integer", nullable=False)
    assert join_columns([chosen], [make_column("id", ValueType.TEXT)]) == (chosen,)

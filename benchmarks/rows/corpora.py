"""The tables that are measured, made by SQL, and what tells whether a copy is equal."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

_ORDERS = (
    "id bigint PRIMARY KEY, ref uuid, customer text, email text, amount numeric(12,2), qty integer, active boolean,"
    " placed_on date, meta jsonb, updated_at timestamptz NOT NULL"
)
_ORDER_VALUES = """
SELECT i, md5(i::text)::uuid, 'Customer Größe ' || (i % 5000), 'user' || i || '@example.com', (i % 1000000) * 1.01,
       i % 97, CASE WHEN i % 10 = 0 THEN NULL ELSE i % 2 = 0 END, date '2020-01-01' + (i % 2000)::int,
       jsonb_build_object('k', i, 'tags', jsonb_build_array('a', 'b'),
                          'note', CASE WHEN i % 7 = 0 THEN NULL ELSE 'line "' || i || '"' END),
       timestamptz '2026-01-01' + i * interval '1 second'
  FROM generate_series({first}, {last}) i"""
# Peers cut microseconds.
_ORDERS_CANON = (
    "id::bigint, ref::text, customer::text, email::text, amount::numeric(12,2), qty::int, active::boolean,"
    " placed_on::date, meta::jsonb, date_trunc('milliseconds', updated_at::timestamptz)"
)
_KINDS = ("text", "integer", "numeric(18,4)", "timestamptz")
_WIDE_CELLS = ("'text value ' || i", "i % 1000", "i * 0.1234", "timestamptz '2026-01-01' + i * interval '1 min'")  # fmt: skip
_WIDE = (
    "id bigint PRIMARY KEY, doc jsonb, more jsonb, updated_at timestamptz NOT NULL, "
    + ", ".join(f"c{number} {_KINDS[number % 4]}" for number in range(96))
)
_WIDE_VALUES = """
SELECT i, jsonb_build_object('a', repeat('x', 600), 'n', i, 'l',
       (SELECT jsonb_agg(jsonb_build_object('p', g, 'q', 'item ' || g)) FROM generate_series(1, 20) g)),
       jsonb_build_object('k', repeat('é', 300)), timestamptz '2026-01-01' + i * interval '1 second', CELLS
  FROM generate_series({first}, {last}) i""".replace(
    "CELLS", ", ".join(_WIDE_CELLS[number % 4] for number in range(96))
)


@dataclass(frozen=True, slots=True)
class RowCorpus:
    """`canon` is what of a row is compared."""

    name: str
    rows: int
    columns: str
    values: str
    canon: str

    def make(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        for statement in (
            f"DROP TABLE IF EXISTS {self.name}",
            f"CREATE TABLE {self.name} ({self.columns})",
            f"INSERT INTO {self.name} {self.values.format(first=1, last=self.rows)}",
            f"CREATE INDEX ON {self.name} (updated_at)",
            f"VACUUM ANALYZE {self.name}",
        ):
            session.execute(statement.encode())

    def change(self, session: psycopg.Connection[tuple[object, ...]], turn: int) -> int:
        """Changes and adds one row of a hundred, half and half, and returns their count."""
        each = self.rows // 200
        first = self.rows + turn * each + 1
        moment = f"timestamptz '2027-01-01' + interval '{turn} day'"
        for statement in (
            f"UPDATE {self.name} SET qty = qty + 1, updated_at = {moment} + id * interval '1 ms'"  # noqa: S608 — as above
            f" WHERE id % 200 = {turn} AND id <= {self.rows}",
            f"INSERT INTO {self.name} {self.values.format(first=first, last=first + each - 1)}",
            f"UPDATE {self.name} SET updated_at = {moment} + id * interval '1 ms' WHERE id >= {first}",  # noqa: S608 — as above
            f"ANALYZE {self.name}",
        ):
            session.execute(statement.encode())
        return 2 * each


def table_sum(
    session: psycopg.Connection[tuple[object, ...]], corpus: RowCorpus, schema: str, table: str
) -> tuple[object, ...]:
    """Count and checksum of a table's rows."""
    session.execute("SET timezone = 'UTC'")
    query = sql.SQL(
        "SELECT count(*), coalesce(sum(hashtextextended(row({})::text, 0)::numeric), 0)::text FROM {}"
    ).format(sql.SQL(corpus.canon), sql.Identifier(schema, table))
    row = session.execute(query).fetchone()
    if row is None:
        raise RuntimeError("no count came")
    return row


_SHOP = (
    "id bigint PRIMARY KEY, customer text, email text, amount numeric(12,2), qty integer, active smallint,"
    " placed_on date, meta jsonb, updated_at timestamp NOT NULL, note text"
)
_SHOP_VALUES = """
SELECT i, 'Customer Größe ' || (i % 5000), 'user' || i || '@example.com', (i % 1000000) * 1.01, i % 97, i % 2,
       date '2020-01-01' + (i % 2000)::int, jsonb_build_object('k', i, 'tags', jsonb_build_array('a', 'b')),
       timestamp '2026-01-01' + i * interval '1.000001 second', 'a fairly ordinary note of some words ' || i
  FROM generate_series({first}, {last}) i"""
# pgloader makes booleans of TINYINT(1), and times with a zone.
_SHOP_CANON = (
    "id::bigint, customer::text, email::text, amount::numeric(12,2), active::int, qty::int, placed_on::date,"
    " meta::jsonb, updated_at::timestamp, note::text"
)
_SHEET = (
    "id bigint PRIMARY KEY, ref text, customer text, email text, amount numeric, qty bigint, active boolean,"
    " placed_on date, note text, updated_at timestamptz NOT NULL"
)
_SHEET_VALUES = """
SELECT i, substr(md5(i::text), 1, 16), 'Größe, ' || (i % 5000), 'user' || i || '@example.com', (i % 1000000) * 1.01,
       i % 97, i % 2 = 0, date '2020-01-01' + (i % 2000)::int,
       CASE WHEN i % 5 > 0 THEN 'line "' || i || '" of some length, with commas' END,
       timestamptz '2026-01-01' + i * interval '1 second'
  FROM generate_series({first}, {last}) i"""
_SHEET_CANON = (
    "id::bigint, ref::text, customer::text, email::text, round(amount::numeric, 2), qty::int, active::boolean,"
    " placed_on::date, coalesce(note::text, ''), updated_at::timestamptz"
)

ROW_CORPORA = {
    "R1": RowCorpus("orders", 1_000_000, _ORDERS, _ORDER_VALUES, _ORDERS_CANON),
    "R6": RowCorpus("wide", 50_000, _WIDE, _WIDE_VALUES, "wide.*"),
}
# Made in PostgreSQL, which tells what a copy must equal, and written from there to where they are copied from.
ELSEWHERE = {
    "R3": RowCorpus("shop", 500_000, _SHOP, _SHOP_VALUES, _SHOP_CANON),
    "R4": RowCorpus("sheet", 2_000_000, _SHEET, _SHEET_VALUES, _SHEET_CANON),
}

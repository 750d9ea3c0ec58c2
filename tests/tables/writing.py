"""Tables as the engine leaves them, written by plain statements, one row after another: what readers of versions are
tested on without a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from psycopg import sql

from datasets.models import Dataset, DatasetKind, Table, TableColumn, TableVersion, Version
from tests.rows import make_workspace

Values = Mapping[str, str | None]
Rows = Mapping[tuple[str, ...], Values]
_KINDS = {"added": "a", "changed": "c", "removed": "r"}


def run_sql(statement: str, *parts: Any) -> None:
    """`{}` stand for names, tuples of names, or parts of a statement."""
    with connection.cursor() as cursor:
        composed = sql.SQL(statement).format(*map(_part, parts))
        cursor.execute(composed.as_string(cursor.cursor))


def _part(part: Any) -> sql.Composable:
    if isinstance(part, sql.Composable):
        return part
    return sql.Identifier(part) if isinstance(part, str) else sql.Identifier(*part)


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _values(values: Sequence[Any]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Literal, values))


def _typed(types: Mapping[str, str]) -> sql.Composed:
    pairs = [sql.Identifier(name) + sql.SQL(f" {type_}") for name, type_ in types.items()]
    return sql.SQL(", ").join(pairs)


@dataclass
class Written:
    """A table whose versions are known: `held[n]` is what version n was written with."""

    table: Table
    types: dict[str, str]
    fresh: set[str] = field(default_factory=set)  # columns that come with the next version
    now: dict[tuple[str, ...], dict[str, str | None]] = field(default_factory=dict)
    held: dict[int, dict[tuple[str, ...], dict[str, str | None]]] = field(default_factory=dict)

    @property
    def relation(self) -> tuple[str, str]:
        return self.table.schema, self.table.relation

    @property
    def history(self) -> tuple[str, str]:
        return "syncproject_history", f"h_{self.table.pk.hex}"

    @property
    def imaged(self) -> list[str]:
        """Images are taken before columns are added."""
        return [name for name in self.types if name not in {*self.table.key, *self.fresh}]


def make_dataset(name: str = "shop", workspace: str = "acme") -> Dataset:
    return Dataset.objects.create(
        workspace=make_workspace(workspace), name=name, kind=DatasetKind.TABLE
    )


def make_table(
    dataset: Dataset,
    types: Mapping[str, str],
    key: Sequence[str] = ("id",),
    *,
    name: str = "orders",
    sources: Mapping[str, str] | None = None,
) -> Written:
    schema = f"w_{dataset.workspace.name}_{dataset.workspace_id.hex[:6]}"
    relation = name if not Table.objects.filter(schema=schema, relation=name) else f"{name}_2"
    table = Table.objects.create(
        dataset=dataset, name=name, schema=schema, relation=relation, key=list(key)
    )
    written = Written(table, dict(types))
    for one in (schema, "syncproject_history", "syncproject_staging"):
        run_sql("CREATE SCHEMA IF NOT EXISTS {}", one)
    run_sql("CREATE TABLE {} ({}, PRIMARY KEY ({}))", written.relation, _typed(types), _listed(key))
    number = next_number(dataset)
    for position, (column, type_) in enumerate(types.items()):
        TableColumn.objects.create(
            table=table,
            position=position,
            source_name=(sources or {}).get(column, column),
            name=column,
            source_type=type_,
            type=type_,
            nullable=column not in key,
            in_key=column in key,
            since=number,
        )
    return written


def publish(written: Written, rows: Rows, *, mark: Any = None) -> int | None:
    """The next version of the dataset: the table holds these rows, each with values by column. None where they are
    what it holds."""
    table = written.table
    number = next_number(table.dataset)
    is_first = table.version is None
    counts = dict.fromkeys(_KINDS, 0)
    if not is_first:
        _need_history(written)
    for key in {**written.now, **rows}:
        was, now = written.now.get(key), rows.get(key)
        full = None if now is None else {name: now.get(name) for name in written.types}
        if was == full:
            continue
        change = "added" if was is None else "removed" if full is None else "changed"
        counts[change] += 1
        _write_row(written, key, full, exists=was is not None)
        if not is_first:
            _write_image(written, number, _KINDS[change], key, was)
    if not is_first and not any(counts.values()):
        return None
    written.now = {
        key: {name: values.get(name) for name in written.types} for key, values in rows.items()
    }
    written.fresh.clear()
    written.held[number] = {key: dict(values) for key, values in written.now.items()}
    _note(written, number, counts, mark)
    return number


def next_number(dataset: Dataset) -> int:
    latest = dataset.versions.order_by("-number").first()
    return latest.number + 1 if latest else 1


def _note(written: Written, number: int, counts: dict[str, int], mark: Any) -> None:
    table = written.table
    told = {f"rows_{name}": count for name, count in counts.items()}
    rows = len(written.now)
    TableVersion.objects.create(table=table, number=number, rows=rows, mark=mark, **told)
    Table.objects.filter(pk=table.pk).update(version=number, rows=rows, mark=mark)
    table.refresh_from_db()
    table.dataset.versions.update(is_current=False)
    total = sum(each.rows for each in table.dataset.tables.all())
    Version.objects.create(
        dataset=table.dataset,
        number=number,
        file_count=0,
        size_bytes=0,
        rows=total,
        tables_changed=[table.name],
        mark=mark,
        **told,
    )


def _write_row(written: Written, key: Sequence[str], now: Values | None, *, exists: bool) -> None:
    if exists:
        names = _listed(written.table.key)
        run_sql("DELETE FROM {} WHERE ({}) = ({})", written.relation, names, _values(key))
    if now is not None:
        values = _values([now[name] for name in written.types])
        names = _listed(list(written.types))
        run_sql("INSERT INTO {} ({}) VALUES ({})", written.relation, names, values)


def _need_history(written: Written) -> None:
    """Made by the first image, and given columns by the first that has them."""
    key = written.table.key
    images = {name: type_ if name in key else "text" for name, type_ in written.types.items()}
    for name in written.fresh:
        del images[name]
    run_sql(
        'CREATE TABLE IF NOT EXISTS {} (_version integer, _change "char", {}, PRIMARY KEY ({}, _version))',
        written.history,
        _typed(images),
        _listed(key),
    )
    run_sql(
        "CREATE INDEX IF NOT EXISTS {} ON {} (_version, {})",
        f"i_{written.table.pk.hex}",
        written.history,
        _listed(key),
    )
    for name in written.imaged:
        run_sql("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} text", written.history, name)


def _write_image(
    written: Written, number: int, change: str, key: Sequence[str], was: Values | None
) -> None:
    others = written.imaged if was is not None else []
    values = [*key, *[was[name] for name in others]] if was is not None else list(key)
    run_sql(
        "INSERT INTO {} (_version, _change, {}) VALUES ({}, {})",
        written.history,
        _listed([*written.table.key, *others]),
        sql.Literal(number),
        _values([change, *values]),
    )


def add_column(written: Written, name: str, type_: str) -> None:
    """With the next version."""
    table = written.table
    run_sql("ALTER TABLE {} ADD COLUMN {}", written.relation, _typed({name: type_}))
    written.fresh.add(name)
    written.types[name] = type_
    for values in written.now.values():
        values[name] = None
    TableColumn.objects.create(
        table=table,
        position=table.columns.count(),
        source_name=name,
        name=name,
        source_type=type_,
        type=type_,
        since=next_number(table.dataset),
    )


def drop_column(written: Written, name: str) -> None:
    """The source has it no more, from the next version on."""
    current = written.table.columns.filter(name=name, until=None)
    current.update(until=next_number(written.table.dataset))


def widen_column(
    written: Written,
    name: str,
    type_: str,
    reprint: Callable[[str | None], str | None] = lambda text: text,
) -> None:
    """With the next version. The wider type may print what is held otherwise."""
    table = written.table
    number = next_number(table.dataset)
    run_sql("ALTER TABLE {} ALTER COLUMN {} TYPE {}", written.relation, name, sql.SQL(type_))
    if name in table.key:
        _need_history(written)
        run_sql("ALTER TABLE {} ALTER COLUMN {} TYPE {}", written.history, name, sql.SQL(type_))
    written.types[name] = type_
    for values in written.now.values():
        values[name] = reprint(values[name])
    old = table.columns.get(name=name, until=None)
    table.columns.filter(pk=old.pk).update(until=number)
    old.pk, old.type, old.source_type, old.since = None, type_, type_, number
    old.save(force_insert=True)

"""What a record asks for each table: its job's options, and what the source says of the entity."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from farends.errors import RootMissing
from farends.rows.contract import Column, CursorOrder, Entity, EntityKind, KeyFrom, Mark, RowSource
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.works.contract import Failed

_PROVED = (KeyFrom.PRIMARY, KeyFrom.UNIQUE)


@dataclass(frozen=True, slots=True)
class RowDestination:
    """Where rows go beside the home database."""

    connector_id: uuid.UUID
    schema: str | None
    table: str | None
    adopt: bool


@dataclass(frozen=True, slots=True)
class TableOrder:
    """What is wanted of one entity, before the source has described it."""

    name: str
    spec: Mapping[str, Any]
    key: tuple[str, ...]
    cursor: Any  # {}: the proposed one; None: none
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityOrder:
    """The same with what the source says. `columns` are those that are read."""

    name: str
    relation: str  # what its relation is called where the name is free
    spec: Mapping[str, Any]
    kind: EntityKind
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    unique_key: bool  # the source itself keeps the key unique
    cursor: CursorOrder | None
    cursor_was_named: bool  # by the job, and not proposed by the source
    all_names: frozenset[str]  # of all columns of the source
    include: tuple[str, ...]
    exclude: tuple[str, ...]

    def takes(self, name: str) -> bool:
        """Whether the job wants the column. It needs each of its key's."""
        return name in self.key or (
            _is_one_of(name, self.include) and not _is_one_of(name, self.exclude)
        )


def list_tables(job: SyncJob, source: RowSource) -> list[TableOrder]:
    """The tables of a job, in the order of their names. Raises RootMissing where there is none."""
    if job.entity is not None:
        spec = _find_named(source, job.entity) if isinstance(job.entity, str) else job.entity
        return [_order(job, source.describe(spec).name, spec, {})]
    chosen = job.entities or {}
    include, exclude = chosen.get("include") or ["*"], chosen.get("exclude") or []
    found = {
        entity.name: entity
        for entity in source.entities()
        if _matches(entity, include) and not _matches(entity, exclude)
    }
    if not found:
        raise RootMissing(f"the source offers no table that matches {', '.join(include)}")
    return [
        _order(job, name, entity.spec, _override(job, entity))
        for name, entity in sorted(found.items())
    ]


def _find_named(source: RowSource, name: str) -> Mapping[str, Any]:
    for entity in source.entities():
        if entity.name == name:
            return entity.spec
    raise RootMissing(f"the connector has no entity {name}")


def _names_of(entity: Entity) -> tuple[str, ...]:
    """A table is meant by its name with its schema, and without."""
    table = entity.spec.get("table")
    return (entity.name, table) if isinstance(table, str) else (entity.name,)


def _matches(entity: Entity, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in _names_of(entity))


def _override(job: SyncJob, entity: Entity) -> Mapping[str, Any]:
    for name in _names_of(entity):
        if name in job.overrides:
            return dict(job.overrides[name])
    return {}


def _order(
    job: SyncJob, name: str, spec: Mapping[str, Any], override: Mapping[str, Any]
) -> TableOrder:
    columns = override.get("columns", job.columns) or {}
    return TableOrder(
        name=name,
        spec=spec,
        key=tuple(override.get("key", job.key)),
        cursor=override.get("cursor", job.cursor),
        include=tuple(columns.get("include") or ("*",)),
        exclude=tuple(columns.get("exclude") or ()),
    )


def describe_entity(order: TableOrder, source: RowSource) -> EntityOrder:
    """Asks the source. Raises RootMissing, and Failed where the order does not fit the entity."""
    entity = source.describe(order.spec)
    key = order.key or entity.key
    table = entity.spec.get("table")
    described = EntityOrder(
        name=entity.name,
        relation=table if isinstance(table, str) else entity.name,
        spec=order.spec,
        kind=entity.kind,
        columns=entity.columns,
        key=key,
        unique_key=entity.key_from in _PROVED and set(entity.key) <= set(key),
        cursor=_choose_cursor(order.cursor, entity),
        cursor_was_named=bool(order.cursor),
        all_names=frozenset(column.name for column in entity.columns),
        include=order.include,
        exclude=order.exclude,
    )
    columns = tuple(column for column in entity.columns if described.takes(column.name))
    return replace(described, columns=columns)


def _is_one_of(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _choose_cursor(given: Any, entity: Entity) -> CursorOrder | None:
    if given is None:
        return None
    if isinstance(given, str):
        return CursorOrder(given)
    if not given:
        return entity.proposed_cursor
    return CursorOrder(
        given["field"], given.get("param", ""), given.get("format", ""), given.get("lag_s")
    )


def reads_whole(record: SyncRecord) -> bool:
    """Whether the record asks for all rows, whatever the mark says."""
    return record.mode == SyncMode.FULL or record.trigger == Trigger.RESYNC


def find_since(entity: EntityOrder, mark: Mapping[str, Any] | None) -> Mark | None:
    """The mark from which the next reading goes on; None where it is of another cursor, or there is none."""
    if mark is None or entity.cursor is None:
        return None
    found = Mark.from_json(mark)
    return found if found.field == entity.cursor.field else None


def check_key(record: SyncRecord, entity: EntityOrder, key: tuple[str, ...]) -> None:
    """Raises Failed: without a key nobody can tell which row has changed."""
    if not key and not reads_whole(record) and entity.cursor is not None:
        raise Failed(
            "key_missing",
            f"{entity.name} has no key: name its columns by key, or set sync_mode to full",
        )


def find_destination(job: SyncJob) -> RowDestination | None:
    """None: the home database."""
    given = job.destination
    if not given:
        return None
    return RowDestination(
        uuid.UUID(str(given["connector"])),
        given.get("schema"),
        given.get("table"),
        bool(given.get("adopt")),
    )

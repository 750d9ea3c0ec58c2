"""Fits what was staged to the relation: which staged column fills which, and what becomes of the relation's columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from datasets.models import TableColumn
from datasets.tables.ledger import PublishedColumn
from datasets.tables.place import DELETED_AT, RESERVED, RelationColumn, TablePlace
from datasets.tables.row_plan import ColumnLink, TableLayout
from datasets.tables.staged_reading import CONTENT_KEY, PLACE_KEY, StagedReading
from farends.rows.contract import Column
from farends.rows.names import make_name, make_names
from syncjobs.core.schema_drift import (
    ColumnStep,
    KnownColumn,
    PlannedColumn,
    SchemaPlan,
    SourceColumn,
)

_PLACE_TYPES = {"_path": "text", "_line": "bigint", "_row": "text"}


@dataclass(frozen=True, slots=True)
class RelationView:
    """The relation as it is now. `columns` are empty where there is none; `ledger` are the columns that came from the
    source, and `published` says whether any version did."""

    place: TablePlace
    columns: tuple[RelationColumn, ...]
    ledger: tuple[TableColumn, ...]
    published: bool

    @property
    def exists(self) -> bool:
        return bool(self.columns)

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}

    @property
    def has_mark(self) -> bool:
        return DELETED_AT in self.types

    def list_known(self, source_names: Collection[str]) -> list[KnownColumn]:
        """Columns that the source fills or has filled. Of a relation that somebody else has made they are those that are
        called as the source's."""
        types = self.types
        if self.ledger:
            return [
                KnownColumn(
                    one.source_name,
                    one.name,
                    types[one.name],
                    one.until is None,
                    one.source_type,
                )
                for one in self.ledger
                if one.name in types
            ]
        return [
            KnownColumn(name, make_name(name), types[make_name(name)])
            for name in source_names
            if make_name(name) in types
        ]

    def list_current(self) -> list[Column]:
        """Columns that the source had at the last publication, as wide as the relation's."""
        types = self.types
        return [
            Column(one.source_name, one.source_type, types[one.name], one.nullable)
            for one in self.ledger
            if one.until is None and one.name in types
        ]


def as_source_columns(columns: Iterable[Column]) -> list[SourceColumn]:
    return [SourceColumn(one.name, one.source_type, one.type, one.nullable) for one in columns]


def staged_as_source(staged: StagedReading) -> list[SourceColumn]:
    """The columns as they were found while they were read."""
    return [
        SourceColumn(one.source_name, one.source_type, one.type, one.nullable)
        for one in staged.columns
    ]


def lay_out(
    view: RelationView,
    staged: StagedReading,
    plan: SchemaPlan,
    *,
    removes: bool,
    sweep: bool,
    marks: bool,
) -> TableLayout:
    return TableLayout(
        place=view.place,
        links=_link(view, staged, plan.columns),
        kept=_list_kept(view, plan),
        exists=view.exists,
        removes=removes,
        sweep=sweep,
        marks=marks,
        has_mark=view.has_mark and view.published,
    )


def _link(
    view: RelationView, staged: StagedReading, planned: Sequence[PlannedColumn]
) -> tuple[ColumnLink, ...]:
    types = view.types
    staged_columns = {one.source_name: one for one in staged.columns}
    fresh = [one.source.source_name for one in planned if one.name is None]
    taken = RESERVED | set(types) | {one.name for one in view.ledger}
    names = make_names(fresh, taken)
    links = []
    for own in (PLACE_KEY if staged.by_place else CONTENT_KEY) if not staged.key else ():
        kind = _PLACE_TYPES[own]
        links.append(ColumnLink(own, kind, types.get(own), own, kind, in_key=True))
    for one in planned:
        source = staged_columns[one.source.source_name]
        links.append(
            ColumnLink(
                name=one.name or names[one.source.source_name],
                type=one.type,
                was=one.was,
                staged=source.name,
                staged_type=source.type,
                in_key=one.source.source_name in staged.key,
                rebuilt=one.step is ColumnStep.REBUILD,
            )
        )
    return tuple(links)


def _list_kept(view: RelationView, plan: SchemaPlan) -> tuple[str, ...]:
    """Columns that the relation keeps though the source does not fill them any more."""
    filled = {one.name for one in plan.columns}
    types = view.types
    return tuple(
        dict.fromkeys(
            one.name for one in view.ledger if one.name in types and one.name not in filled
        )
    )


def list_published(layout: TableLayout, staged: StagedReading) -> tuple[PublishedColumn, ...]:
    """The columns that the next version has."""
    sources = {one.name: one for one in staged.columns}
    return tuple(
        PublishedColumn(
            source_name=sources[link.staged].source_name,
            name=link.name,
            source_type=sources[link.staged].source_type,
            type=link.type,
            nullable=sources[link.staged].nullable and not link.in_key,
            in_key=link.in_key,
        )
        for link in layout.links
        if link.name not in RESERVED  # the database itself tells of our own columns
    )

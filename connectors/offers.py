"""A look at what a source of rows offers, for people who choose what to sync. Nothing of it is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from connectors.models import Connector
from connectors.opening import open_rows
from farends.errors import RootMissing, Stalled
from farends.registry import get_spec
from farends.rows.contract import Entity, Preview, RowSource

LOOK_S = 20.0
CELL_CHARACTERS_MAX = 1_024


class OffersNoRows(LookupError):
    """A connector of this kind has no tables."""


def offers_rows(connector: Connector) -> bool:
    """Raises UnknownKind."""
    return get_spec(connector.kind).open_rows is not None


def list_offers(
    connector: Connector, prefix: str = "", *, after: str | None = None, most: int = 50
) -> tuple[list[Entity], bool]:
    """What there is, by name, behind the name `after`; and whether there is more. Raises TransportError's children,
    OffersNoRows, UnknownKind."""
    with _looking(connector) as source:
        named = (
            entity for entity in source.entities(prefix) if after is None or entity.name > after
        )
        found = list(islice(named, most + 1))
    return found[:most], len(found) > most


def describe_offers(
    connector: Connector, entities: Sequence[str | Mapping[str, Any]]
) -> list[Entity | None]:
    """What each of these, as a job's `entity` has it, means now; None where there is none. Raises what `list_offers`
    raises."""
    with _looking(connector) as source:
        return [_describe(source, entity) for entity in entities]


def preview_offer(connector: Connector, entity: str | Mapping[str, Any], limit: int) -> Preview:
    """The first rows of what a job's `entity` means, with long cells cut. Raises RootMissing, and what `list_offers`
    raises."""
    with _looking(connector) as source:
        found = source.preview(_spec_of(source, entity), limit)
    return cut_preview(found, limit)


def cut_preview(found: Preview, limit: int) -> Preview:
    """So many rows at most, with long cells cut."""
    rows = tuple(_cut(row) for row in found.rows[:limit])
    return Preview(found.columns, rows, found.complete and len(found.rows) <= limit)


@contextmanager
def _looking(connector: Connector) -> Iterator[RowSource]:
    if not offers_rows(connector):
        raise OffersNoRows(f"a connector of kind {connector.kind} offers no tables")
    ends_at = time.monotonic() + LOOK_S

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Stalled(f"the look took longer than {LOOK_S:g} s")

    with closing(open_rows(connector, check=check)) as source:
        yield source


def _describe(source: RowSource, entity: str | Mapping[str, Any]) -> Entity | None:
    try:
        return source.describe(_spec_of(source, entity))
    except RootMissing:
        return None


def _spec_of(source: RowSource, entity: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return _find(source, entity).spec if isinstance(entity, str) else entity


def _find(source: RowSource, name: str) -> Entity:
    if "\0" not in name:
        for entity in source.entities(name):
            if entity.name == name:
                return entity
    raise RootMissing(f"the source offers no {name!r}")


def _cut(row: Sequence[str | None]) -> tuple[str | None, ...]:
    return tuple(
        cell
        if cell is None or len(cell) <= CELL_CHARACTERS_MAX
        else f"{cell[:CELL_CHARACTERS_MAX]}…"
        for cell in row
    )

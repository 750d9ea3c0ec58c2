"""What a source of rows offers, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape, EntityIn
from farends.rows.contract import Column, CursorOrder, Entity, EntityKind, KeyFrom, Preview
from farends.rows.names import make_names
from syncjobs.order.job import OPTIONS
from syncjobs.order.structures import Misfit

PREVIEW_MAX = 100
PreviewLimit = Annotated[int, Field(ge=1, le=PREVIEW_MAX), EXACT]


class OfferedColumnOut(Told):
    name: str = Field(description="As the source calls it.")
    source_type: str
    type: str = Field(description="Of PostgreSQL, which holds each value exactly.")
    nullable: bool


class OfferedCursorOut(Told):
    cursor: Literal["xmin"] | dict[str, Any] = Field(description="As a job's `cursor` takes it.")
    proposed: bool


class OfferedEntityOut(Told):
    """A table, or what can be read as one."""

    name: str
    kind: EntityKind
    entity: dict[str, Any] | str = Field(description="As a job's `entity` takes it.")
    columns: list[OfferedColumnOut]
    key: list[str]
    key_from: KeyFrom
    cursors: list[OfferedCursorOut]
    estimated_rows: int | None


class OfferedEntityPage(Told):
    items: list[OfferedEntityOut]
    next: str | None


class PreviewOut(Told):
    columns: list[OfferedColumnOut]
    items: list[dict[str, str | None]] = Field(
        description="Each cell as the text that PostgreSQL prints; null is NULL. Long cells are cut and end in `…`."
    )
    complete: bool = Field(description="There are no further rows.")


def _can_be_named(entity: Any) -> Any:
    if isinstance(entity, str):
        try:
            OPTIONS["entity"].read(entity)
        except Misfit as exc:
            raise ValueError(str(exc)) from None
    return entity


class PreviewIn(BodyShape):
    entity: Annotated[EntityIn, AfterValidator(_can_be_named)]
    limit: PreviewLimit = 20


def tell_offer(entity: Entity) -> dict[str, Any]:
    """Fills `OfferedEntityOut`."""
    return {
        "name": entity.name,
        "kind": entity.kind,
        "entity": entity.name if entity.kind is EntityKind.RESOURCE else dict(entity.spec),
        "columns": [_tell_column(column) for column in entity.columns],
        "key": list(entity.key),
        "key_from": entity.key_from,
        "cursors": [
            {"cursor": write_cursor(choice.cursor), "proposed": choice.proposed}
            for choice in entity.cursors
        ],
        "estimated_rows": entity.estimated_rows,
    }


def tell_preview(preview: Preview) -> dict[str, Any]:
    """Fills `PreviewOut`. Rows have the names that the columns get at the destination."""
    made = make_names(column.name for column in preview.columns)
    names = [made[column.name] for column in preview.columns]
    return {
        "columns": [_tell_column(column) for column in preview.columns],
        "items": [dict(zip(names, row, strict=True)) for row in preview.rows],
        "complete": preview.complete,
    }


def write_cursor(cursor: CursorOrder) -> str | dict[str, Any]:
    """A cursor as a job has it."""
    if cursor.is_xmin:
        return cursor.field
    told: dict[str, Any] = {"field": cursor.field}
    for name in ("param", "format", "lag_s"):
        if (value := getattr(cursor, name)) not in ("", None):
            told[name] = value
    return told


def _tell_column(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "source_type": column.source_type,
        "type": column.type,
        "nullable": column.nullable,
    }

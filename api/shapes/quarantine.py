"""Rows in quarantine, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape
from farends import names
from syncjobs.models import QuarantinedRow, QuarantineState

_MOST = 10_000  # rows of one request
RowNumber = Annotated[int, Field(ge=1, le=9_223_372_036_854_775_807), EXACT]
_Cell = Annotated[StrictStr, Field(max_length=1_000_000, pattern=r"^[^\x00]*$")]
_ColumnName = Annotated[str, Field(min_length=1, max_length=1_000, pattern=r"^[^\x00]*$")]
_Number = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]


class QuarantinedOut(Told):
    """A row that could not be loaded."""

    id: int
    state: QuarantineState
    table: str
    key: dict[str, str | None] | None
    path: str | None = Field(description="Of a file.")
    line: int | None
    column: str | None = Field(description="Whose value does not fit.")
    code: Literal["value", "encoding", "columns", "too_large", "constraint"]
    message: str
    raw: str = Field(
        description="As it came. A byte that is no UTF-8 is U+F0000 and its value, as in paths; NUL is U+F000."
    )
    raw_complete: bool
    created_at: datetime


class QuarantinePage(Told):
    items: list[QuarantinedOut]
    next: str | None


class RowRedriveIn(BodyShape):
    ids: Annotated[list[RowNumber], Field(max_length=_MOST)] | None = Field(
        None, description="Which rows are sent again; null: all that are open."
    )
    values: Annotated[
        dict[_Number, Annotated[dict[_ColumnName, _Cell | None], Field(max_length=2_000)]],
        Field(max_length=_MOST),
    ] = Field(
        default_factory=dict,
        description="By row and column, what to put in the place of its value. A row without any is read again from"
        " the source.",
        examples=[{"7": {"day": "2026-12-13"}}],
        json_schema_extra={"additionalProperties": False},  # each number fits the pattern
    )
    drop: Annotated[list[RowNumber], Field(max_length=_MOST)] = Field(
        default_factory=list, description="Rows that are not sent again, now or later."
    )


def tell_quarantined(row: QuarantinedRow) -> dict[str, Any]:
    """Fills `QuarantinedOut`."""
    plain = [name for name in QuarantinedOut.model_fields if name != "raw"]
    return {name: getattr(row, name) for name in plain} | {"raw": write_raw(bytes(row.raw))}


def write_raw(raw: bytes) -> str:
    return names.to_text(names.decode(raw)).replace("\0", "\uf000")

"""Where the next reading of a source begins, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from farends.rows.contract import MarkKind


class MarkOut(Told):
    """Where the next reading of the source begins."""

    kind: MarkKind
    field: str = Field(description="The column that tells, or `xmin`.")
    text: str = Field(description="As the source printed it.")


def tell_mark(stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the source needs to know its own mark again stays here."""
    return None if stored is None else {name: stored[name] for name in MarkOut.model_fields}

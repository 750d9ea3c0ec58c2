"""Numbers as JSON has them: 3.0 is a whole one, "3" and true are none."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def _exact(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("give a whole number")  # noqa: TRY004 — what pydantic listens for
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Beside a bound it comes last, so that the document shows the bound: Annotated[int, Field(ge=1), EXACT].
EXACT = BeforeValidator(_exact)
Whole = Annotated[int, EXACT]

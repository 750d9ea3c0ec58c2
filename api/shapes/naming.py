"""How a body or a query names a row of the workspace."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

# An id or a name. In a path any text is taken: what names nothing is not found.
Called = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]

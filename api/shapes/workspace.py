"""What holds for all that a workspace does, as JSON."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from pydantic import Field, StrictBool

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape, Count, PeriodIn, WindowIn, write_calendar
from workspaces.models import Workspace

_NULLABLE = ("max_running", "max_store_bytes")


class SettingsChange(BodyShape):
    """What is left out stays as it is; null lifts a limit."""

    max_running: Annotated[int, Field(ge=1, le=32_767), EXACT] | None = None
    max_store_bytes: Count | None = None
    one_sync_at_a_time: StrictBool | None = None
    windows: list[WindowIn] | None = None
    blackouts: list[WindowIn | PeriodIn] | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        given = {
            name: value for name, value in dumped.items() if value is not None or name in _NULLABLE
        }
        write_calendar(given)
        return given


class SettingsOut(Told):
    """The settings of one workspace."""

    id: uuid.UUID
    name: str
    max_running: int | None = Field(
        description="Records at once; further ones wait. null: no limit of its own."
    )
    max_store_bytes: int | None = Field(
        description="Of the contents that its versions name, each once; a sync that would go over it fails"
        " before it fetches. null: no limit."
    )
    one_sync_at_a_time: bool = Field(
        description="A further sync by hand is refused while one runs."
    )
    windows: list[dict[str, Any]] = Field(description="When its jobs may work. Empty: always.")
    blackouts: list[dict[str, Any]] = Field(description="When they may not, whatever the windows.")


def tell_settings(row: Workspace) -> SettingsOut:
    return SettingsOut(
        id=row.pk,
        name=row.name,
        max_running=row.max_running,
        max_store_bytes=row.max_store_bytes,
        one_sync_at_a_time=row.one_sync_at_a_time,
        windows=row.windows,
        blackouts=row.blackouts,
    )

"""What holds for all that a workspace does, as JSON."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictStr

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape, Count, PeriodIn, Text, WindowIn, write_calendar
from search.choices import tell_choice
from workspaces.models import Workspace

_NULLABLE = ("max_running", "max_store_bytes", "search")


class EmbeddingIn(BodyShape):
    """The service that makes vectors. All but `service` belongs to `openai`."""

    service: Text = Field(description="builtin, openai or off.")
    url: Text | None = Field(None, description="The base; `/embeddings` is appended.")
    model: Text | None = None
    dimensions: Annotated[int, EXACT] | None = Field(
        None, description="null: as many as the model gives."
    )
    batch: Annotated[int, EXACT] | None = Field(None, description="Texts of one request.")
    query_prefix: Text | None = None
    passage_prefix: Text | None = None
    key: Annotated[StrictStr, Field(max_length=4096)] | None = Field(
        None, description="Write-only. Left out, it stays, for the host that it was given for."
    )


class SearchIn(BodyShape):
    """What is left out stays; null goes back to the installation's default."""

    embedding: EmbeddingIn | None = None
    languages: list[Text] | None = Field(
        None, description="Text search configurations of PostgreSQL; `simple` is always there."
    )


class SettingsChange(BodyShape):
    """What is left out stays as it is; null lifts a limit."""

    max_running: Annotated[int, Field(ge=1, le=32_767), EXACT] | None = None
    max_store_bytes: Count | None = None
    one_sync_at_a_time: StrictBool | None = None
    windows: list[WindowIn] | None = None
    blackouts: list[WindowIn | PeriodIn] | None = None
    search: SearchIn | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        given = {
            name: value for name, value in dumped.items() if value is not None or name in _NULLABLE
        }
        write_calendar(given)
        return given


class SearchOut(Told):
    """What holds for the workspace's search."""

    embedding: dict[str, Any] = Field(
        description="`service`, and for `openai` also `url`, `model`, `dimensions`, `batch`, `query_prefix`,"
        " `passage_prefix` and `has_key`."
    )
    languages: list[str]


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
    search: SearchOut = Field(description="Its own, or the installation's default.")


def tell_settings(row: Workspace) -> SettingsOut:
    return SettingsOut(
        id=row.pk,
        name=row.name,
        max_running=row.max_running,
        max_store_bytes=row.max_store_bytes,
        one_sync_at_a_time=row.one_sync_at_a_time,
        windows=row.windows,
        blackouts=row.blackouts,
        search=SearchOut(**tell_choice(row.pk)),
    )

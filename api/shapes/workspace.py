"""What holds for all that a workspace does, as JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictStr

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BlackoutsIn, BodyShape, Count, Fact, Text, WindowsIn, write_calendar
from search.choices import (
    BATCH_MAX,
    DIMENSIONS_MAX,
    KEY_MAX,
    LANGUAGES_MAX,
    MODEL_MAX,
    PREFIX_MAX,
    SERVICES,
    URL_MAX,
    tell_choice,
)
from syncjobs.order.shared import DAYS_MAX, VERSIONS_MAX
from workspaces.models import Workspace

_KEEPING = ("keep_versions", "keep_days", "keep_bytes")
_NULLABLE = ("max_running", "max_store_bytes", *_KEEPING, "search")
_NAMES = ("id", "name")  # which no request changes
_DEFAULTS: dict[str, Any] = {
    "max_running": None,
    "max_store_bytes": None,
    "one_sync_at_a_time": False,
    **dict.fromkeys(_KEEPING),
    "windows": [],
    "blackouts": [],
}
if TYPE_CHECKING:
    _Service = str
else:
    _Service = Literal[SERVICES]


class EmbeddingIn(BodyShape):
    """The service that makes vectors. All but `service` belongs to `openai`."""

    service: _Service
    url: Annotated[Text, Field(max_length=URL_MAX)] | None = Field(
        None, description="The base; `/embeddings` is appended."
    )
    model: Annotated[Text, Field(max_length=MODEL_MAX)] | None = None
    dimensions: Annotated[int, Field(ge=1, le=DIMENSIONS_MAX), EXACT] | None = Field(
        None, description="null: as many as the model gives."
    )
    batch: Annotated[int, Field(ge=1, le=BATCH_MAX), EXACT] | None = Field(
        None, description="Texts of one request."
    )
    query_prefix: Annotated[Text, Field(max_length=PREFIX_MAX)] | None = None
    passage_prefix: Annotated[Text, Field(max_length=PREFIX_MAX)] | None = None
    key: Annotated[StrictStr, Field(max_length=KEY_MAX)] | None = Field(
        None, description="Write-only. Left out, it stays, for the host that it was given for."
    )


class SearchIn(BodyShape):
    """What is left out stays; null goes back to the installation's default."""

    embedding: EmbeddingIn | None = None
    # `simple` may stand beside the others.
    languages: Annotated[list[Text], Field(max_length=LANGUAGES_MAX + 1)] | None = Field(
        None, description="Text search configurations of PostgreSQL; `simple` is always there."
    )


class EmbeddingReplacement(EmbeddingIn):
    """As an answer tells it, or as a change gives it."""

    has_key: Fact = None


class SearchReplacement(SearchIn):
    """What is left out goes back to the installation's default."""

    embedding: EmbeddingReplacement | None = None


class SettingsChange(BodyShape):
    """What is left out stays as it is; null lifts a limit."""

    max_running: Annotated[int, Field(ge=1, le=32_767), EXACT] | None = None
    max_store_bytes: Count | None = None
    one_sync_at_a_time: StrictBool | None = None
    keep_versions: Annotated[int, Field(ge=1, le=VERSIONS_MAX), EXACT] | None = None
    keep_days: Annotated[int, Field(ge=1, le=DAYS_MAX), EXACT] | None = None
    keep_bytes: Count | None = None
    windows: WindowsIn | None = None
    blackouts: BlackoutsIn | None = None
    search: SearchIn | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        given = {
            name: value for name, value in dumped.items() if value is not None or name in _NULLABLE
        }
        write_calendar(given)
        return given


class SettingsReplacement(SettingsChange):
    """What is left out gets its default. What else an answer tells is taken too, without effect: a program may send
    what it has read."""

    id: Fact = None
    name: Fact = None
    search: SearchReplacement | None = None

    def replacing(self, told: SettingsOut) -> dict[str, Any]:
        """All settings as the YAML has them. A part of `search` that is sent as it was told stays what it was: the
        workspace's own, or the installation's default."""
        given = {name: self.written()[name] for name in self.written() if name not in _NAMES}
        search = given.get("search") or {}
        embedding = search.get("embedding")
        if embedding is not None:
            had_key = embedding.pop("has_key", None)
            same = {name: told.search.embedding.get(name) for name in embedding} == embedding
            if same and had_key == told.search.embedding.get("has_key"):
                del search["embedding"]
        if search.get("languages") == told.search.languages:
            del search["languages"]
        left = {"embedding", "languages"} - (self.search.model_fields_set if self.search else set())
        return _DEFAULTS | given | {"search": search | dict.fromkeys(left)}


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
    keep_versions: int | None = Field(
        description="So many of the newest versions of each dataset are kept, the current one and the one before it"
        " always. A version that one of the three rules keeps stays; a job with rules of its own obeys these alone."
        " null in all three: every version is kept."
    )
    keep_days: int | None = Field(
        description="A version is kept for so many days after a newer one took its place."
    )
    keep_bytes: int | None = Field(
        description="The newest versions are kept for which what only older versions need is no larger than this."
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
        keep_versions=row.keep_versions,
        keep_days=row.keep_days,
        keep_bytes=row.keep_bytes,
        windows=row.windows,
        blackouts=row.blackouts,
        search=SearchOut(**tell_choice(row.pk)),
    )

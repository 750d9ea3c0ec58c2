"""What a workspace has set of its search, with the installation's defaults.

An outside service receives the text of files. Whoever sets one consents to that, and the audit trail says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from connectors.secrets import seal_for, unseal_for
from farends.errors import AuthConfig
from farends.web.url import read_base_url
from search.core.lexemes import SIMPLE
from search.core.wishes import IndexWish
from search.models import DatasetIndex, IndexState, SearchChoice
from workspaces import auditing
from workspaces.models import Workspace

BUILTIN, OPENAI, OFF = "builtin", "openai", "off"
SERVICES = (BUILTIN, OPENAI, OFF)
BATCH = 64
BATCH_MAX = 2_048
DIMENSIONS_MAX = 4_096
LANGUAGES_MAX = 10  # each costs time for each chunk
FIELDS = ("embedding", "languages")
URL_MAX, MODEL_MAX, KEY_MAX, PREFIX_MAX = 1_000, 200, 4_096, 200  # characters
_KEY = "key"


@dataclass(frozen=True, slots=True)
class EmbeddingChoice:
    """The service that makes a workspace's vectors. Only `openai` has more than a name: `url` is its base, and
    `dimensions` of None are as many as its model gives."""

    service: str
    url: str = ""
    model: str = ""
    dimensions: int | None = None
    batch: int = BATCH
    query_prefix: str = ""
    passage_prefix: str = ""
    key: str = field(default="", repr=False)

    @property
    def endpoint(self) -> str:
        """What a stored key is bound to."""
        if self.service != OPENAI:
            return self.service
        origin = read_base_url(self.url).origin
        return f"{origin.scheme}://{origin.host}:{origin.port}"

    @property
    def stored(self) -> dict[str, Any]:
        """What is kept in the clear: all but the key."""
        if self.service != OPENAI:
            return {"service": self.service}
        told = asdict(self)
        del told[_KEY]
        return told


class InvalidSearch(Exception):
    """What was given does not fit. `problems` are the place of each, below `search`, and words."""

    def __init__(self, problems: Sequence[tuple[tuple[str | int, ...], str]]) -> None:
        super().__init__("; ".join(words for _, words in problems))
        self.problems = list(problems)


def find_search_choice(workspace_id: uuid.UUID) -> SearchChoice | None:
    """What the workspace has set; None: the installation's settings hold for it."""
    return SearchChoice.objects.filter(pk=workspace_id).first()


def find_languages(workspace_id: uuid.UUID) -> tuple[str, ...]:
    return languages_of(find_search_choice(workspace_id))


def languages_of(row: SearchChoice | None) -> tuple[str, ...]:
    """Returns the text search configurations that stem the workspace's words, beside `simple`."""
    chosen = None if row is None else row.languages
    return tuple(settings.SYNC.search_languages) if chosen is None else tuple(chosen)


def find_embedding(workspace_id: uuid.UUID) -> EmbeddingChoice:
    """As `embedding_of`."""
    return embedding_of(find_search_choice(workspace_id))


def embedding_of(row: SearchChoice | None) -> EmbeddingChoice:
    """Returns the service that the workspace's vectors are to come from, with its key. Raises AuthConfig where the
    stored key does not open."""
    if row is None or row.embedding is None:
        return default_embedding()
    return restore_embedding(row.embedding, row.sealed_secret)


def default_embedding() -> EmbeddingChoice:
    """The installation's, for workspaces that have set none."""
    env = settings.SYNC
    if not env.embedding_url:
        return EmbeddingChoice(BUILTIN)
    return EmbeddingChoice(
        OPENAI, url=env.embedding_url, model=env.embedding_model, key=env.embedding_key
    )


def restore_embedding(stored: Mapping[str, Any], sealed: str) -> EmbeddingChoice:
    """A choice from the columns that keep it. Raises AuthConfig."""
    known = {one.name for one in fields(EmbeddingChoice)} - {_KEY}
    choice = EmbeddingChoice(**{name: value for name, value in stored.items() if name in known})
    key = unseal_for(choice.endpoint, sealed).get(_KEY, "")
    return EmbeddingChoice(**{**choice.stored, _KEY: key})


def seal_key(choice: EmbeddingChoice) -> str:
    return seal_for(choice.endpoint, {_KEY: choice.key})


def tell_choice(workspace_id: uuid.UUID) -> dict[str, Any]:
    """What holds for the workspace, its own or the installation's, as settings show it: of the key that there is one."""
    row = SearchChoice.objects.filter(pk=workspace_id).first()
    if row is None or row.embedding is None:
        choice = default_embedding()
        told, has_key = choice.stored, bool(choice.key)
    else:
        told, has_key = dict(row.embedding), bool(row.sealed_secret)
    if told["service"] == OPENAI:
        told["has_key"] = has_key
    return {"embedding": told, "languages": list(find_languages(workspace_id))}


def tell_own_choice(workspace: Workspace) -> tuple[dict[str, Any], bool]:
    """What the workspace itself has set, as `write_choice` takes it, without defaults; and whether a key belongs to it."""
    row = SearchChoice.objects.filter(pk=workspace.pk).first()
    if row is None:
        return {}, False
    told: dict[str, Any] = {}
    if row.embedding is not None:
        usual = EmbeddingChoice(row.embedding["service"])
        told["embedding"] = {
            name: value
            for name, value in row.embedding.items()
            if name == "service" or value != getattr(usual, name, None)
        }
    if row.languages is not None:
        told["languages"] = list(row.languages)
    return told, bool(row.sealed_secret)


def find_own_key(workspace: Workspace) -> str:
    """The key that the workspace has set, empty without one. Raises AuthConfig."""
    row = SearchChoice.objects.filter(pk=workspace.pk).first()
    if row is None or row.embedding is None:
        return ""
    return restore_embedding(row.embedding, row.sealed_secret).key


def write_choice(workspace: Workspace, given: Any) -> list[str]:
    """Changes what the workspace has set: what is not named stays, and null goes back to the installation's default.
    Answers with the fields that changed: where there are some, `search.vectors.generations.settle_generation` and then
    `wake_indexes` are to follow. Raises InvalidSearch."""
    with transaction.atomic():
        row, _ = SearchChoice.objects.select_for_update(of=("self",)).get_or_create(
            workspace=workspace
        )
        before = SearchChoice.objects.get(pk=row.pk)
        reading = _Reading(before)
        reading.read(given)
        if reading.problems:
            raise InvalidSearch(reading.problems)
        row.embedding, row.sealed_secret = reading.embedding, reading.sealed
        row.languages = reading.languages
        changed = [name for name in FIELDS if getattr(row, name) != getattr(before, name)]
        if row.sealed_secret != before.sealed_secret:
            changed.append(_KEY)
        if changed:
            row.save()
            _note(row, before)
    return changed


def _note(row: SearchChoice, before: SearchChoice) -> None:
    auditing.note_saved(row, before)
    chosen = row.embedding or {}
    if chosen.get("service") == OPENAI and row.embedding != before.embedding:
        consent = f"the text of files is sent to {chosen['url']}"
        auditing.note(row, "consented", {"embedding": [None, consent]})


def wake_indexes(workspace_id: uuid.UUID) -> None:
    """The queue looks at every dataset anew: for other words, or other vectors. Generations are settled before, as whoever
    fills one locks it before its indexes."""
    rows = DatasetIndex.objects.filter(workspace_id=workspace_id).exclude(wish=IndexWish.OFF)
    rows.exclude(state=IndexState.OFF).update(state=IndexState.CATCHING_UP, not_before=None)


class _Reading:
    """Reads what was given over what is stored, and collects what is wrong."""

    def __init__(self, stored: SearchChoice) -> None:
        self.problems: list[tuple[tuple[str | int, ...], str]] = []
        self.embedding: dict[str, Any] | None = stored.embedding
        self.sealed = stored.sealed_secret
        self.languages: list[str] | None = stored.languages

    def read(self, given: Any) -> None:
        if given is None:
            given = dict.fromkeys(FIELDS)
        if not self._check_mapping(given, (), FIELDS):
            return
        if "embedding" in given:
            self._read_embedding(given["embedding"])
        if "languages" in given:
            self._read_languages(given["languages"])

    def _read_embedding(self, given: Any) -> None:
        place = ("embedding",)
        if given is None:
            self.embedding, self.sealed = None, ""
            return
        known = tuple(one.name for one in fields(EmbeddingChoice))
        if not self._check_mapping(given, place, known):
            return
        service = given.get("service")
        if service not in SERVICES:
            self._problem((*place, "service"), f"must be one of {', '.join(SERVICES)}")
            return
        values = {name: value for name, value in given.items() if value is not None}
        if service != OPENAI:
            for name in values.keys() - {"service"}:
                self._problem((*place, name), f"service {service} does not have it")
            self.embedding, self.sealed = {"service": service}, ""
        else:
            self._read_openai(values, place, gives_key=_KEY in given)

    def _read_openai(
        self, values: dict[str, Any], place: tuple[str | int, ...], *, gives_key: bool
    ) -> None:
        before = len(self.problems)
        for name, check in _CHECKS.items():
            if name in values and (words := check(values[name])):
                self._problem((*place, name), words)
        for name in ("url", "model"):
            if name not in values:
                self._problem((*place, name), "service openai needs it")
        if len(self.problems) == before:
            self._take(EmbeddingChoice(**values), gives_key=gives_key)

    def _take(self, choice: EmbeddingChoice, *, gives_key: bool) -> None:
        """A key that is not given stays, for the host that it was given for."""
        held = self._find_held(choice)
        if not gives_key:
            self.sealed = self.sealed if held is not None else ""
        elif held != choice.key or not choice.key:
            self.sealed = seal_key(choice)
        self.embedding = choice.stored

    def _find_held(self, choice: EmbeddingChoice) -> str | None:
        """The key that is stored for the host of this choice."""
        try:
            return str(unseal_for(choice.endpoint, self.sealed).get(_KEY, "")) or None
        except AuthConfig:
            return None

    def _read_languages(self, given: Any) -> None:
        if given is None:
            self.languages = None
            return
        if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
            self._problem(("languages",), "must be a list of names")
            return
        wanted = list(dict.fromkeys(name for name in given if name != SIMPLE))
        if len(wanted) > LANGUAGES_MAX:
            self._problem(("languages",), f"at most {LANGUAGES_MAX}")
        known = find_known_languages() if wanted else ()
        for number, name in enumerate(given):
            if name != SIMPLE and name not in known:
                words = f"{name[:40]!r} is unknown; known are {', '.join(known)}"
                self._problem(("languages", number), words)
        self.languages = wanted

    def _check_mapping(
        self, given: Any, place: tuple[str | int, ...], known: Sequence[str]
    ) -> bool:
        if not isinstance(given, Mapping):
            self._problem(place, "must be a mapping")
            return False
        strange = [name for name in given if name not in known]
        for name in strange:
            self._problem((*place, str(name)), f"unknown; known are {', '.join(known)}")
        return not strange

    def _problem(self, place: tuple[str | int, ...], words: str) -> None:
        self.problems.append((place, words))


def find_known_languages() -> tuple[str, ...]:
    """The configurations of PostgreSQL's own, in the order of their names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cfgname::text FROM pg_ts_config"
            " WHERE cfgnamespace = 'pg_catalog'::regnamespace AND cfgname <> %s ORDER BY 1",
            [SIMPLE],
        )
        return tuple(name for (name,) in cursor.fetchall())


def _check_url(value: Any) -> str:
    if not isinstance(value, str) or len(value) > URL_MAX:
        return f"must be a URL of at most {URL_MAX} characters"
    try:
        read_base_url(value)
    except ValueError as exc:
        return str(exc)
    return ""


def _check_text(longest: int, *, may_be_empty: bool = True) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        fits = isinstance(value, str) and len(value) <= longest and "\0" not in value
        if not fits or not (value.strip() or may_be_empty):
            return f"must be a text of {0 if may_be_empty else 1} to {longest} characters"
        return ""

    return check


def _check_key(value: Any) -> str:
    if not isinstance(value, str) or len(value) > KEY_MAX:
        return f"must be a text of at most {KEY_MAX} characters"
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        return "must be printable ASCII, without blanks around it"
    return ""


def _check_whole(most: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if type(value) is not int or not 1 <= value <= most:
            return f"must be a whole number from 1 to {most}"
        return ""

    return check


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "url": _check_url,
    "model": _check_text(MODEL_MAX, may_be_empty=False),
    "dimensions": _check_whole(DIMENSIONS_MAX),
    "batch": _check_whole(BATCH_MAX),
    "query_prefix": _check_text(PREFIX_MAX),
    "passage_prefix": _check_text(PREFIX_MAX),
    _KEY: _check_key,
}

"""What a source of rows is: it says what it offers, where the next reading begins, and gives rows as bytes of COPY.

A source raises only `TransportError`'s children, and lets whatever `Context.check` raises pass. Rows do not become
Python values on their way: a chunk is what PostgreSQL's COPY takes.

The order of calls for one entity is: `describe`, `begin`, `read` to its end, then perhaps `read_keys`, `read_rows`
or `count_doubles`. A source is used by one thread at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

CHUNK_BYTES = 8 << 20  # a chunk ends at this size,
CHUNK_S = 5.0  # and when it took so long
ROW_BYTES_MAX = 64 << 20  # a larger row goes to quarantine as `too_large`


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entity. `name` and `source_type` are the source's own text; `type` is the PostgreSQL type that
    holds each of its values exactly, as `format_type` writes it."""

    name: str
    source_type: str
    type: str
    nullable: bool = True


class EntityKind(StrEnum):
    TABLE = "table"
    VIEW = "view"
    RESOURCE = "resource"
    FILE = "file"


class KeyFrom(StrEnum):
    """Who says that the key is one."""

    PRIMARY = "primary"
    UNIQUE = "unique"  # a unique index over columns that are never NULL
    PROPOSED = "proposed"  # a guess by name, which the first reading proves or not
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CursorOrder:
    """What tells new and changed rows. `field` is a column, or "xmin"; `param` is the parameter of a REST request that
    takes the bound, and `format` how it is written there (iso8601, epoch, epoch_ms, text)."""

    field: str
    param: str = ""
    format: str = ""
    lag_s: float | None = None  # None: not said

    @property
    def is_xmin(self) -> bool:
        return self.field == "xmin" and not self.param


@dataclass(frozen=True, slots=True)
class CursorChoice:
    cursor: CursorOrder
    proposed: bool = False


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that a source offers as a table. `spec` is what a job's `entity` would hold to mean it."""

    name: str
    kind: EntityKind
    spec: Mapping[str, Any]
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    key_from: KeyFrom = KeyFrom.NONE
    cursors: tuple[CursorChoice, ...] = ()
    estimated_rows: int | None = None

    @property
    def proposed_cursor(self) -> CursorOrder | None:
        return next((choice.cursor for choice in self.cursors if choice.proposed), None)


class MarkKind(StrEnum):
    XMIN = "xmin"
    COLUMN = "column"
    PARAM = "param"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the next reading begins. `text` is as the source printed it and is never parsed here. `proof` lets the
    source see that the mark is still its own (such as the server's identity)."""

    kind: MarkKind
    field: str
    text: str
    proof: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "field": self.field,
            "text": self.text,
            "proof": dict(self.proof),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Mark:
        return cls(
            MarkKind(given["kind"]), given["field"], given["text"], dict(given.get("proof") or {})
        )


def _take_all(_name: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reading:
    """What is wanted of one entity. `columns` are source names, in the order of a row; `key` are some of them.
    `since`: only rows from there on; None: all. `takes` says of a column that is met only while reading, by its
    name, whether it is wanted. Where a source learns its types, those of `columns` are only ever widened: whoever
    has a table already gives `inference.join_columns` of what the table has and what `describe` found.
    `postgres_major` is the version of the PostgreSQL that the rows go to: a source of the same may send them in
    binary form; 0: never."""

    spec: Mapping[str, Any]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cursor: CursorOrder | None = None
    since: Mark | None = None
    takes: Callable[[str], bool] = _take_all
    postgres_major: int = 0

    def whole(self) -> Reading:
        return replace(self, since=None)


class MarkLostReason(StrEnum):
    OTHER_SERVER = "other_server"
    WENT_BACK = "went_back"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Begun:
    """What `begin` found before anything was read. `mark` is where the next reading starts, None where the reading
    has no cursor. `lost`: `since` cannot be used, so the whole is read. `warning` is for the record."""

    mark: Mark | None
    lost: MarkLostReason | None = None
    warning: str = ""


class Encoding(StrEnum):
    """Form of the bytes, as COPY's FORMAT names it."""

    TEXT = "text"
    BINARY = "binary"  # from PostgreSQL alone; rows have neither COPY's header nor its trailer
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be loaded. `key` is by source name; `path` and `line` of a file; `values` are the cells that
    could be told apart, by source name, as text."""

    code: str  # value | encoding | columns | too_large | constraint
    message: str
    column: str | None = None
    key: Mapping[str, str | None] | None = None
    path: str | None = None
    line: int | None = None
    raw: bytes = b""
    values: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, each one element of `rows`, whole and in the form of `encoding`, in the order of `columns`.

    `columns` may grow or widen from chunk to chunk where a source learns its types by reading. `resume` is what
    `read(after=...)` takes to go on behind this chunk; None: the source cannot resume. `nulled` counts values that
    became NULL because no type holds them. `without_cursor` counts rows whose cursor is NULL. `mark` is of a source
    that learns only by reading where the next reading begins; the last one that was told counts. It is never later
    than the beginning of this reading, so who was cut may read again from the first one.
    """

    columns: tuple[Column, ...]
    rows: Sequence[bytes]
    encoding: Encoding = Encoding.TEXT
    resume: Any | None = None  # JSON
    bad: tuple[BadRow, ...] = ()
    nulled: int = 0
    without_cursor: int = 0
    places: Sequence[tuple[str, int]] = ()  # of a file: path and line of each row
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class RowCapabilities:
    """What a source can do, as measured after the log-in."""

    server_software: str = ""
    sweeps_keys: bool = False  # `read_keys`
    resumes: bool = False
    counts_doubles: bool = False
    reads_by_key: bool = False  # `read_rows`
    learns_types: bool = False  # by reading: they may widen from chunk to chunk, see `inference`


class RowSource(Protocol):
    @property
    def capabilities(self) -> RowCapabilities: ...

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        """All that is offered, by name, with columns, keys and cursors. Raises PermissionRefused."""
        ...

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        """One of them, as it is now. Raises RootMissing where there is none."""
        ...

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview: ...

    def begin(self, reading: Reading) -> Begun:
        """Takes the mark of the next reading, before anything is read. Raises SchemaGone where the cursor or a key
        column is not there any more."""
        ...

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        """The rows of what `begin` was given. `after` is the `resume` of the last chunk that is kept."""
        ...

    def read_keys(self) -> Iterator[Chunk]:
        """The keys of all rows, and nothing else: whoever lacks one knows that its row is gone."""
        ...

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        """The rows of these keys, as they are now."""
        ...

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        """Those of the keys that more than one row has."""
        ...

    @property
    def drifted(self) -> bool:
        """After `read`: the rows moved under the reading, so one more pass is owed."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Preview:
    """The first rows, as PostgreSQL would print each value; None is NULL."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str | None, ...], ...]
    complete: bool

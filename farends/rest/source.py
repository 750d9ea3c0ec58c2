"""Reads the objects of an API, page after page, as rows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from farends.contract import Context
from farends.errors import (
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    SchemaGone,
    TooLarge,
)
from farends.rest.api import Api, ApiReply
from farends.rest.cursors import CursorSeen
from farends.rest.pages import Page, Pages
from farends.rest.paging import FIRST, Place
from farends.rest.proposing import known_columns, propose_cursors, propose_key
from farends.rest.resource import Resource, find_resource
from farends.rest.slices_ahead import read_slices
from farends.rest.slicing import Slices
from farends.rows.contract import (
    CHUNK_BYTES,
    CHUNK_S,
    BadRow,
    Begun,
    Chunk,
    Entity,
    EntityKind,
    Mark,
    Preview,
    Reading,
    RowCapabilities,
)
from farends.rows.inference import ValueType, join_columns, type_of
from farends.rows.json_rows import Encoded, JsonRows
from farends.rows.json_text import Cells, Objects, show_cell
from farends.rows.printing import print_value
from farends.spec import Target
from farends.web.dates import epoch_s

CHUNK_BYTES_WANTED = CHUNK_BYTES // 2  # a page more still fits
KEYS_MAX = 250_000  # so many are remembered; whoever reads more is watched by whole pages
END: Place = {"end": True}
_OF_ONE = (PermissionRefused, ProtocolViolation, RootMissing, SchemaGone, TooLarge)


class RestSource:
    """Close it. See `farends.rows.contract.RowSource`."""

    def __init__(self, target: Target, context: Context) -> None:
        """Raises AuthConfig, TlsRefused for options that cannot be used."""
        self.api = Api(target, context)
        self.skew_s: float | None = None  # how far the host's clock is ahead of ours
        self._known = target.entities
        self._server = ""
        self._reading: _Reading | None = None

    @property
    def capabilities(self) -> RowCapabilities:
        return RowCapabilities(
            server_software=self._server, resumes=True, reads_by_key=True, learns_types=True
        )

    @property
    def drifted(self) -> bool:
        return self._reading is not None and self._reading.drifted

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        """The resources that the connector names. One that fails is told without columns: `describe` says why."""
        for name in sorted(name for name in self._known if name.startswith(prefix)):
            spec = {"name": name}
            try:
                yield self.describe(spec)
            except _OF_ONE:
                yield Entity(name, EntityKind.RESOURCE, {**self._known[name], **spec})

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        resource = find_resource(spec, self._known)
        rows, page = self._look(resource)
        named = {} if "path" in spec else self._known[resource.name]
        key, key_from = propose_key(resource, rows.columns, page.objects.rows)
        return Entity(
            resource.name,
            EntityKind.RESOURCE,
            {**named, **spec},
            rows.columns,
            key,
            key_from,
            propose_cursors(resource, rows.columns),
        )

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        resource = find_resource(spec, self._known)
        slices = Slices(resource.slicing, self.now_s)
        rows, shown = JsonRows(), list[Cells]()
        for page in self._look_through(resource, slices):
            rows.encode(page.objects, page.text)
            shown += page.objects.rows
            if len(shown) > limit:
                break
        columns = rows.columns or known_columns(resource)
        kinds = {column.name: type_of(column) for column in columns}
        printed = tuple(_print(cells, kinds) for cells in shown[:limit])
        return Preview(columns, printed, complete=slices.are_few and len(shown) <= limit)

    def _look_through(self, resource: Resource, slices: Slices) -> Iterator[Page]:
        """One page after the other, and none is asked for before it is taken."""
        for number in slices.numbers_to_look_at():
            pages = Pages(self.api, resource, slices.params(number))
            place: Place | None = FIRST
            while place is not None:
                page = pages.first(place)
                yield page
                place = page.following

    def _look(self, resource: Resource) -> tuple[JsonRows, Page]:
        """The first page that has objects, of those that each slice begins with; else the last of them."""
        slices = Slices(resource.slicing, self.now_s)
        for number in slices.numbers_to_look_at():
            page = Pages(self.api, resource, slices.params(number)).first(FIRST)
            if page.objects.rows:
                break
        self.note(page.reply)
        rows = JsonRows(() if page.objects.rows else known_columns(resource))
        rows.encode(page.objects, page.text)
        return rows, page

    def note(self, reply: ApiReply) -> None:
        """What an answer tells of the host."""
        self._server = reply.server
        if (told := epoch_s(reply.date)) is not None:
            self.skew_s = told - time.time()

    @property
    def now_s(self) -> float:
        """By the host's clock, as far as it has been told."""
        return time.time() + (self.skew_s or 0.0)

    def begin(self, reading: Reading) -> Begun:
        """The mark is told by the chunks: only what is read can be one. A reading that drifted is done again from
        where it began."""
        before = self._reading
        if before is not None and before.wanted.spec == reading.spec:
            columns = join_columns(reading.columns, before.rows.columns)
            wanted = {column.name for column in reading.columns}
            columns = tuple(one for one in columns if one.name in wanted or reading.takes(one.name))
            reading = replace(reading, columns=columns)
            if before.drifted:
                reading = replace(reading, since=before.wanted.since)
        cursor = reading.cursor
        warning = ""
        if cursor is None or not cursor.param:
            reading = replace(reading, since=None)
        if cursor is not None and not cursor.param:
            warning = f"the cursor {cursor.field} has no param, so all is read: the API cannot be asked for what is new"
        self._reading = _Reading(self, find_resource(reading.spec, self._known), reading)
        return Begun(reading.since, warning=warning)

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        reading = self._reading
        if reading is None:
            raise ValueError("`begin` comes first")
        if after == END:
            return
        chunks = reading.read(FIRST if after is None else after)
        if after is not None:
            try:
                first = next(chunks, None)
            except PermanentError:  # an API forgets its tokens: from the beginning, then
                chunks = reading.read(FIRST)
            else:
                yield from () if first is None else (first,)
        yield from chunks

    def read_keys(self) -> Iterator[Chunk]:
        raise NotImplementedError("an API is not asked for keys alone")

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        """Page by page, until all are found: how an API is asked for one object, nobody has said."""
        reading = self._reading
        if reading is None:
            raise ValueError("`begin` comes first")
        yield from reading.find(keys)

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        raise NotImplementedError("an API is not asked for doubles")

    def close(self) -> None:
        self.api.close()


@dataclass(frozen=True, slots=True)
class Doubles:
    """What of a page was read before: rows with the same key in its slice, and rows that have changed since."""

    is_new: bool  # the page brought a key that its slice had not yet
    again: int = 0
    changed: int = 0


def _print(cells: Cells, kinds: Mapping[str, ValueType | None]) -> tuple[str | None, ...]:
    texts = ((show_cell(cells.get(name)), kind) for name, kind in kinds.items())
    return tuple(None if text is None else print_value(text, kind) for text, kind in texts)


class KeysSeen:
    """Tells pages that bring nothing new to their slice. Keys and rows are kept as hashes, so many at most; from there
    on it is the keys of whole pages that must not come again. The rows of all slices are kept: one that comes in a
    second one, and is another there, has changed."""

    def __init__(self, most: int = KEYS_MAX) -> None:
        self._most = most
        self._keys: set[int] = set()
        self._rows: set[int] = set()
        self._pages: set[int] = set()
        self._here = self._keys  # those of the slice that is read
        self._slices = 0

    def begin_slice(self) -> None:
        self._pages.clear()
        self._slices += 1
        if self._slices > 1:
            self._here = set()

    def add(self, keys: Sequence[int], rows: Sequence[bytes]) -> Doubles:
        page = hash(frozenset(keys))
        is_new = page not in self._pages
        self._pages.add(page)
        keys_before, rows_before = len(self._keys), len(self._rows)
        here_before = len(self._here)
        if keys_before + len(keys) > self._most:
            return Doubles(is_new)
        self._keys.update(keys)
        if self._here is not self._keys:
            self._here.update(keys)
        self._rows.update(map(hash, rows))
        new_keys, new_rows = len(self._keys) - keys_before, len(self._rows) - rows_before
        new_here = len(self._here) - here_before
        return Doubles(new_here > 0, len(keys) - new_here, max(0, new_rows - new_keys))


class _Reading:
    """One pass over the pages of a resource."""

    def __init__(self, source: RestSource, resource: Resource, wanted: Reading) -> None:
        self.wanted = wanted
        self.rows = JsonRows(wanted.columns, key=wanted.key, takes=wanted.takes)
        self._source = source
        self._resource = resource
        begun_s = source.now_s
        self._slices = Slices(resource.slicing, begun_s, wanted.cursor, wanted.since)
        self._cursor = (
            None if wanted.cursor is None else CursorSeen(wanted.cursor, wanted.since, begun_s)
        )
        self._pages: Pages | None = None  # of the slice that is read
        self._keys = KeysSeen()
        self._moved = False
        self._has_key = False

    @property
    def drifted(self) -> bool:
        return self._moved or self.rows.rewritten

    def read(self, start: Place) -> Iterator[Chunk]:
        gathered = _Gathered()
        for page, following in self._read_pages(start):
            self._source.note(page.reply)
            count = len(self.rows.columns)
            self._check_key(page)
            encoded = self.rows.encode(page.objects, page.text)
            if count != len(self.rows.columns) and gathered.rows:
                yield gathered.as_chunk(gathered.columns, self._mark)
                gathered = _Gathered()
            self._watch(encoded, page)
            gathered.columns = self.rows.columns
            gathered.rows += encoded.rows
            gathered.bad += [bad for _, bad in encoded.bad]
            gathered.size_bytes += sum(map(len, encoded.rows))
            gathered.resume = END if following is None else following
            if self._cursor is not None:
                gathered.without_cursor += self._cursor.look(page.objects.rows)
            if gathered.is_full:
                yield gathered.as_chunk(self.rows.columns, self._mark)
                gathered = _Gathered()
        self._check_cursor()
        if gathered.resume is not None:
            yield gathered.as_chunk(self.rows.columns, self._mark)

    def _read_pages(self, start: Place) -> Iterator[tuple[Page, Place | None]]:
        """Each page, with where the reading goes on behind it."""
        self._keys = KeysSeen()
        for number, pages in read_slices(self._source.api, self._resource, self._slices, start):
            self._keys.begin_slice()
            self._pages = pages.of
            for page in pages:
                yield page, self._slices.following(number, page.following)
            self._moved = self._moved or pages.of.drifted

    def _pages_of_all(self) -> Iterator[Page]:
        """Whatever their cursor says."""
        slices = Slices(self._resource.slicing, self._source.now_s)
        for number in slices.from_on(0):
            yield from Pages(self._source.api, self._resource, slices.params(number)).read(FIRST)

    def find(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        """The objects with these keys, whatever their cursor says."""
        names = self.wanted.key
        wanted = {tuple(key.get(name) for name in names) for key in keys}
        if not wanted:
            return
        for page in self._pages_of_all():
            keyed = [
                (tuple(show_cell(cells.get(name)) for name in names), cells)
                for cells in page.objects.rows
            ]
            found = [cells for key, cells in keyed if key in wanted]
            if found:
                encoded = self.rows.encode(Objects(found), page.text)
                bad = tuple(one for _, one in encoded.bad)
                yield Chunk(self.rows.columns, encoded.rows, bad=bad)
            wanted -= {key for key, _ in keyed}
            if not wanted:
                return

    @property
    def _mark(self) -> Mark | None:
        return None if self._cursor is None else self._cursor.mark

    def _check_key(self, page: Page) -> None:
        """Raises SchemaGone where none of the first objects has a column of the key."""
        if self._has_key or not page.objects.rows:
            return
        self._has_key = True
        names = set().union(*page.objects.rows)
        if missing := [name for name in self.wanted.key if name not in names]:
            raise SchemaGone(f"no object has {', '.join(missing)}, which the key needs")

    def _check_cursor(self) -> None:
        """Raises SchemaGone where objects came and none had the field that tells changes."""
        if self._cursor is not None and self._has_key and not self._cursor.is_known:
            raise SchemaGone(f"no object has {self._cursor.order.field}, which tells changes")

    def _watch(self, encoded: Encoded, page: Page) -> None:
        """Raises ProtocolViolation for a page that has nothing new and leads on."""
        if not encoded.keys:
            return
        doubles = self._keys.add(encoded.keys, encoded.rows)
        if not doubles.is_new and page.following is not None:
            raise ProtocolViolation(
                "a page holds no key that was not read before, and leads on: the reading would not end"
            )
        # A row that moved to a later page, or changed and came once more: nobody knows which others did.
        is_counted = self._pages is not None and self._pages.is_counted
        moved = doubles.changed > 0 or (doubles.again > 0 and is_counted)
        self._moved = self._moved or moved


@dataclass(slots=True)
class _Gathered:
    """What the next chunk will hold."""

    columns: tuple[Any, ...] = ()
    rows: list[bytes] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    size_bytes: int = 0
    without_cursor: int = 0
    resume: Place | None = None
    began_s: float = field(default_factory=time.monotonic)

    @property
    def is_full(self) -> bool:
        return (
            self.size_bytes >= CHUNK_BYTES_WANTED or time.monotonic() - self.began_s >= CHUNK_S / 2
        )

    def as_chunk(self, columns: tuple[Any, ...], mark: Mark | None) -> Chunk:
        return Chunk(
            columns,
            self.rows,
            resume=self.resume,
            bad=tuple(self.bad),
            without_cursor=self.without_cursor,
            mark=mark,
        )

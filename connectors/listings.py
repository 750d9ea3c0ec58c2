"""Keeps what a far end lists for a while, so that a person who chooses files asks the host once.

A connector has one kept listing, of so many files and bytes at most. A host that does not answer leaves the last one
standing, with the error beside it.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from connectors.models import Connector, SourceListing
from connectors.opening import open_transport
from farends import names
from farends.contract import RemoteEntry, Seen
from farends.errors import TransportError
from timing.clock import database_now

LISTED_MAX = 20_000
WITHIN_S = 15.0
BYTES_MAX = 8 << 20  # of the entries as JSON
FRESH_S = 300.0
PAUSE_S = 60.0  # after a try that failed, unless a person asks again


@dataclass(frozen=True, slots=True)
class ListedFile:
    """`path` is in stored form, from the connector's root."""

    path: str
    size_bytes: int | None
    modified_ns: int | None


@dataclass(frozen=True, slots=True)
class KeptListing:
    """`complete`: the host has no other files. `error` is of the last try, after which the files are as before."""

    files: tuple[ListedFile, ...]
    listed_at: datetime | None
    complete: bool
    error: str
    tried_at: datetime


class _Enough(Exception):
    """The time for a look is over."""


def find_kept_listing(connector: Connector) -> KeptListing | None:
    """None where nothing was listed, or another source was. The host is not asked."""
    row = SourceListing.objects.filter(connector=connector, source=_digest(connector)).first()
    return None if row is None else _read(row)


def list_files(connector: Connector, *, again: bool = False) -> KeptListing:
    """The kept listing while it is fresh, or else a new one. `again`: a new one in any case."""
    kept = find_kept_listing(connector)
    now = database_now()
    if kept is not None and not again:
        age_s = (now - kept.tried_at).total_seconds()
        if age_s < (PAUSE_S if kept.error else FRESH_S):
            return kept
    try:
        files, complete = _walk(connector)
    except TransportError as exc:
        return _keep_error(connector, kept, str(exc), now)
    row, _ = SourceListing.objects.update_or_create(
        connector=connector,
        defaults={
            "source": _digest(connector),
            "listed_at": now,
            "tried_at": now,
            "complete": complete,
            "entries": _pack(files),
            "error": "",
        },
    )
    return _read(row)


def _walk(connector: Connector) -> tuple[list[ListedFile], bool]:
    """Raises TransportError's children."""
    ends_at = time.monotonic() + WITHIN_S

    def check() -> None:
        if time.monotonic() > ends_at:
            raise _Enough

    files: list[ListedFile] = []
    complete = True
    try:
        with closing(open_transport(connector, check=check)) as transport:
            walk = iter(transport.walk())
            try:
                complete = _take(walk, files)
            finally:
                if isinstance(walk, Generator):
                    walk.close()
    except _Enough:
        complete = False
    files.sort(key=lambda file: file.path)
    return files, complete


def _take(walk: Iterator[Seen], files: list[ListedFile]) -> bool:
    room = BYTES_MAX
    for number, seen in enumerate(walk):
        if number == LISTED_MAX:
            return False
        if not isinstance(seen, RemoteEntry):
            continue
        path = names.to_text(seen.path)
        room -= len(path) + 40
        if room < 0:
            return False
        files.append(ListedFile(path, seen.size_bytes, seen.modified_ns))
    return True


def _keep_error(
    connector: Connector, kept: KeptListing | None, error: str, now: datetime
) -> KeptListing:
    told = {"tried_at": now, "error": error[:1_000]}
    if kept is None:
        fresh = {"source": _digest(connector), "listed_at": None, "complete": False, "entries": b""}
        row, _ = SourceListing.objects.update_or_create(connector=connector, defaults=fresh | told)
    else:
        SourceListing.objects.filter(connector=connector).update(**told)
        row = SourceListing.objects.get(connector=connector)
    return _read(row)


def _digest(connector: Connector) -> str:
    way = [connector.endpoint, connector.options]
    return hashlib.sha256(json.dumps(way, sort_keys=True).encode()).hexdigest()


def _pack(files: list[ListedFile]) -> bytes:
    rows = [(file.path, file.size_bytes, file.modified_ns) for file in files]
    return zlib.compress(json.dumps(rows).encode(), 6)


def _read(row: SourceListing) -> KeptListing:
    rows = json.loads(zlib.decompress(bytes(row.entries))) if row.entries else []
    files = tuple(ListedFile(*each) for each in rows)
    return KeptListing(files, row.listed_at, row.complete, row.error, row.tried_at)

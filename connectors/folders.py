"""A look into a folder of a far end, for people who choose what to sync.

Transports list whole trees; a look takes what comes first of one, up to a number of entries and a time, and
shows the folder's own level of it. Folders that hold no file are not seen.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from connectors.models import Connector
from connectors.opening import make_target, open_transport
from farends import names
from farends.contract import Reason, RemoteEntry, RoundListing, Seen, Skipped
from farends.spec import FarEndOptions

LOOK_S = 15.0
WALKED_MAX = 20_000
SHOWN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class BrowsedRow:
    """`path` leads here from the connector's root, as in a listing. A folder has no size and no time."""

    name: str
    path: str
    is_folder: bool
    size_bytes: int | None = None
    modified_ns: int | None = None
    skipped: str = ""  # why it would not be synced


@dataclass(slots=True)
class BrowsedFolder:
    """`complete`: nothing of it is missing but folders without files."""

    path: str
    rows: dict[str, BrowsedRow] = field(default_factory=dict)
    complete: bool = True


class _Enough(Exception):
    """The time for a look is over."""


def look_into(
    connector: Connector, path: str = "", *, within_s: float = LOOK_S, most: int = WALKED_MAX
) -> BrowsedFolder:
    """`path` is in stored form, from the connector's root. Raises UnsafeName for one that leads out of it,
    TransportError's children, UnknownKind."""
    folder = BrowsedFolder(_checked(path))
    options: FarEndOptions = make_target(connector).options
    ends_at = time.monotonic() + within_s

    def check() -> None:
        if time.monotonic() > ends_at:
            raise _Enough

    apart = "" if options.lists_whole else folder.path
    prefix = f"{folder.path}/" if folder.path and options.lists_whole else ""
    try:
        with closing(open_transport(connector, check=check)) as transport:
            walk = iter(transport.walk_again(apart) if apart else transport.walk())
            try:
                _take(folder, walk, prefix, most)
            finally:
                if isinstance(walk, Generator):
                    walk.close()
    except _Enough:
        folder.complete = False
    return folder


def _checked(path: str) -> str:
    checked = ""
    for part in path.strip("/").split("/") if path.strip("/") else []:
        checked = names.join(checked, names.from_text(part))
    return checked


def _take(folder: BrowsedFolder, walk: Iterator[Seen], prefix: str, most: int) -> None:
    for number, entry in enumerate(walk):
        if number == most or len(folder.rows) == SHOWN_MAX:
            folder.complete = False
            return
        if isinstance(entry, RoundListing) or not entry.path.startswith(prefix):
            continue
        row = _row(folder.path, entry.path.removeprefix(prefix), entry)
        if row is not None:
            folder.rows.setdefault(row.name, row)


def _row(folder: str, below: str, entry: RemoteEntry | Skipped) -> BrowsedRow | None:
    name, deeper, _ = below.partition("/")
    if not name:  # of the folder itself
        return None
    path = names.to_text(f"{folder}/{name}" if folder else name)
    shown = names.to_text(name)
    if deeper:
        return BrowsedRow(shown, path, is_folder=True)
    if isinstance(entry, Skipped):
        if entry.reason is Reason.LEADS_ELSEWHERE:
            return None  # most links of a page lead elsewhere
        is_folder = entry.reason is Reason.UNREADABLE
        return BrowsedRow(shown, path, is_folder=is_folder, skipped=names.printable(entry.message))
    return BrowsedRow(shown, path, False, entry.size_bytes, entry.modified_ns)

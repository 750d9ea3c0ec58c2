"""What a transport is: a few verbs over a far end, read-only, without Django and without Celery.

Some kinds can also delete and move files: that is a `Remover`, opened apart, so that who lists and
fetches holds nothing that changes the far end.

The engine hands a transport a `Context` (how to connect, when to stop) and a `Sink` (where bytes
go); the transport hands back entries, and for each wanted entry what became of it. A transport
raises only `TransportError`'s children, and lets whatever `Context.check` or the sink raises pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from farends.dialing import Dialer
from farends.errors import TransportError

_BEYOND = 1 << 63


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """One regular file as listed.

    `path` is relative to the root, `/`-separated, decoded with surrogateescape, and already safe
    (`farends.names.join`). None in a field means that the listing does not tell, or tells what no
    64 bits hold: one absurd number is that file's trouble, never the listing's.
    """

    path: str
    size_bytes: int | None
    modified_ns: int | None  # since the epoch, UTC, as precise as the capabilities say
    etag: str | None = None  # strong validators only

    def __post_init__(self) -> None:
        size, modified = self.size_bytes, self.modified_ns
        if size is not None and not 0 <= size < _BEYOND:
            object.__setattr__(self, "size_bytes", None)
        if modified is not None and not -_BEYOND <= modified < _BEYOND:
            object.__setattr__(self, "modified_ns", None)


class Reason(StrEnum):
    """Why something that was seen will not be synced."""

    UNSAFE_NAME = "unsafe_name"  # the name is understood, and could leave its folder
    LINK = "link"
    SPECIAL = "special"  # device, FIFO, socket
    LEADS_ELSEWHERE = "leads_elsewhere"  # a link to another host or another folder
    UNREADABLE = "unreadable"  # a folder whose content could not be listed
    UNREADABLE_ROW = "unreadable_row"  # a row that tells no name or kind that we understand
    LISTING_CUT = "listing_cut"  # the host ended the folder's listing before its end
    NOT_A_LISTING = "not_a_listing"  # the answer for the folder is no listing at all


# The listing lacks something that may well be there, so it proves no removal.
INCOMPLETE = frozenset(
    {Reason.UNREADABLE, Reason.UNREADABLE_ROW, Reason.LISTING_CUT, Reason.NOT_A_LISTING}
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that was seen and will not be synced, with the reason that a person reads.

    With a reason of INCOMPLETE the sync removes nothing. `path` is the folder's, empty for the root;
    for UNREADABLE_ROW it is the folder's and what the row shows of a name. For LEADS_ELSEWHERE it is
    where a file of that name would be: the engine tells it only where such a file is held, and keeps it.

    `retryable` says that `path` is a folder, and that a second listing of it may go better.
    """

    path: str
    reason: Reason
    message: str
    retryable: bool = False


# Where hosts cut a listing without a word; two less where they count `.` and `..`.
ROUND_ROWS = frozenset({998, 1_000, 1_998, 2_000, 9_998, 10_000})


@dataclass(frozen=True, slots=True)
class RoundListing:
    """The listing of this folder has ended at one of ROUND_ROWS. `rows` counts what the host listed in
    it: files, folders, links and what was refused, without `.` and `..`. A transport that reads the tree
    from a real file system need not tell it."""

    path: str
    rows: int


Seen = RemoteEntry | Skipped | RoundListing  # what a walk yields


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one wanted entry: a receipt from the sink, or an error of its own.

    `observed` is the entry as the far end described it during or after the transfer; where it
    differs from the listing the file is not stable. `landed` is the address that redirects led to,
    without query and credentials; None: it answered where it was asked. `content_type` is what the
    host says of the content, in lower case and without parameters. `unproved`: nobody tells how large
    the file is, so a transfer that was cut looks like a whole one. `source` is what the far end calls the
    file, where that is no path: a URI, without control characters.
    """

    entry: RemoteEntry
    receipt: object | None = None
    observed: RemoteEntry | None = None
    error: TransportError | None = None
    landed: str | None = None
    content_type: str | None = None
    unproved: bool = False
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Digested:
    """What the far end says is the SHA-256 of an entry's content; None: it cannot say."""

    entry: RemoteEntry
    sha256: bytes | None


def answer_undigested(entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
    """The answers of a far end that computes no digests."""
    return (Digested(entry, None) for entry in entries)


class Receiver(Protocol):
    """Takes the bytes of one file, in order.

    `write` and `finish` may raise. A TransportError fails this entry alone. Anything else ends the
    whole fetch at once: the transport asks for nothing more, leaves what is on its way unread, and is
    good for the next call. Who wants no more than a file's first bytes ends a fetch so.
    """

    @property
    def offset(self) -> int:
        """How many bytes an earlier try has left here. The file may have been replaced since by one of
        the same size and time, so a transport goes on from there only where it has proved them: by the
        far end's digest of as many bytes, or by a validator that changes with the content. Else it calls
        `rewind` before its first write."""
        ...

    def prefix_sha256(self) -> bytes:
        """The SHA-256 of the first `offset` bytes, as they were read from where they lie."""
        ...

    def rewind(self) -> None: ...

    def write(self, data: bytes | memoryview) -> None: ...

    def finish(self) -> object:
        """Ends the file after all bytes came: returns the receipt to put into `Fetched`."""
        ...

    def abandon(self) -> None:
        """The rest will not come; safe to call twice and after `finish`."""
        ...


class Sink(Protocol):
    """Opens a receiver for each wanted entry. May be called from several threads."""

    def receive(self, entry: RemoteEntry) -> Receiver: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this far end can do, as measured after the log-in."""

    modified_precision_ns: int = 1_000_000_000
    tells_times: bool = True  # else the precision means nothing
    ranges: bool = True  # a part of a file can be asked for
    proves_parts: bool = (
        True  # it may prove what an earlier try has left of a file: then that is kept
    )
    ranges_tried: bool = True  # and that was seen, or is in the protocol: not only announced
    server_software: str = ""
    clock_skew_s: float | None = None  # how far its clock is ahead of ours; None: it does not tell
    clock_error_s: float = 1.0  # by how much that may be wrong
    list_zone_s: int | None = None  # of LIST over FTP, ahead of UTC; None: not seen or not used
    digests: str = ""  # how it computes a file's SHA-256; empty: not at all, or not known yet


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each silence may last, in seconds."""

    connect_s: float = 10.0
    log_in_s: float = 20.0
    idle_s: float = 60.0


def _never() -> None:
    return None


def _untold(_words: str) -> None:
    return None


Renew = Callable[[Mapping[str, str]], Mapping[str, str]]


def _renew_nothing(renew: Renew) -> None:
    renew({})


@dataclass(frozen=True, slots=True)
class Context:
    """How a transport reaches its far end and learns that it must stop.

    `bandwidth_bytes_per_s` (0: no limit) is kept by whoever takes the bytes in; a transport needs it
    to let no more come than that.

    `check` raises when the work is over (cancelled, lease lost, drain, deadline). A transport calls
    it at least once a second while it waits.

    `moved` is told of headway that entries and bytes of files do not show: the host answered, a wait was
    our own choice, a digest is being computed for as long as it may take.

    `waits` is told what a wait within the work is for, in words that follow "waiting for"; empty when it is over.

    `renew_secret` is for a host that gives a new secret for the old one: the function that it is given gets the
    fields of the secret as they are stored now, and returns those that are new. Nobody else renews meanwhile, and
    what is new was stored when the call returns.
    """

    dialer: Dialer
    patience: Patience = field(default_factory=Patience)
    check: Callable[[], None] = _never
    moved: Callable[[], None] = _never
    waits: Callable[[str], None] = _untold
    renew_secret: Callable[[Renew], None] = _renew_nothing
    bandwidth_bytes_per_s: int = 0

    def __post_init__(self) -> None:
        """Whoever dials stops as the work does, however the context was made."""
        object.__setattr__(self, "dialer", replace(self.dialer, check=self.check))


class Transport(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    def walk(self) -> Iterator[Seen]:
        """Every regular file below the target's root, streamed, in any order.

        Raises RootMissing where there is no such folder, and NotAListing where what answers for it is
        no listing. A folder below that fails is a `Skipped`.
        """
        ...

    def walk_again(self, folder: str) -> Iterator[Seen]:
        """One folder below the root, as `walk` would list it, whether or not the root was walked before;
        paths start at the folder. `fetch` and the others go on taking paths from the root."""
        ...

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        """Fetches in the transport's own best order, several at once, and answers for each entry
        exactly once. An entry's own failure is in its answer; the far end's failure is raised."""
        ...

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        """The SHA-256 of each as the far end computes it, with no content transferred; each answered
        exactly once, in any order. What it cannot compute is None; the far end's failure is raised."""
        ...

    def close(self) -> None: ...


class Remover(Protocol):
    """Deletes and moves single files. Paths are relative to the root of the connector's options, and are
    data: no name is an option, a pattern or a command.

    An answer about one file is a TransportError about that file; ConnectionLost, Stalled, Throttled and
    ProtocolViolation speak for the connection, which is then over.
    """

    def find(self, path: str) -> RemoteEntry | None:
        """The regular file as it is now, as a listing would tell it; None where there is none."""
        ...

    def remove(self, path: str) -> None: ...

    def move(self, path: str, to: str) -> None:
        """Makes the folders that are missing. Raises AlreadyThere rather than replace anything."""
        ...

    def close(self) -> None: ...

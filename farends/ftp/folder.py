"""The listing of one folder over FTP."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from farends.contract import ROUND_ROWS, Reason, RoundListing, Seen, Skipped
from farends.errors import (
    NotAListing,
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    TransportError,
    Truncated,
)
from farends.ftp.client import FtpClient
from farends.ftp.command import Root
from farends.ftp.download import Inbox
from farends.ftp.list_end import tells_cut, tells_unread
from farends.ftp.list_rows import ListReader
from farends.ftp.reply import Reply, make_refusal
from farends.ftp.rows import Kind, Row, facts_row
from farends.ftp.session import Session
from farends.wire.far_text import show, skipped_row

ROW_BYTES_MAX = 16 * 1024
ENTRIES_MAX = 10_000_000  # in one folder
REFUSED_ROWS_MAX = 1_000  # before the first that is understood: what begins so is no listing
REPEATS_MAX = 8  # equal listings above one: a linked folder that contains itself, served for ever
TURN_BYTES = 64 * 1024  # what one turn makes of it waits in memory: a row may be of one byte
SHOWN_BYTES = 400  # of what is no listing
DOING = "listing the folder"


@dataclass(eq=False, slots=True)
class FtpFolder:
    path: str
    above: FtpFolder | None = None
    unique: bytes = b""  # the host's own identity for it
    digest: bytes = b""
    tries: int = 0
    folders: list[FtpFolder] = field(default_factory=list)

    @property
    def leads_back(self) -> bool:
        """Whether it is a folder above it: the host follows a link there."""
        above = self.above
        while self.unique and above is not None:
            if above.unique == self.unique:
                return True
            above = above.above
        return False

    @property
    def repeats(self) -> bool:
        count, above = 0, self.above
        while above is not None:
            count += above.digest == self.digest
            above = above.above
        return count >= REPEATS_MAX


class Walk(Protocol):
    """What one folder needs of the walk that it is a part of."""

    client: FtpClient
    root: Root
    inbox: Inbox
    found: deque[Seen]

    def take_row(self, folder: FtpFolder, row: Row) -> None: ...
    def folder_done(self, taker: FolderTaker) -> None: ...
    def folder_failed(
        self, taker: FolderTaker, error: TransportError, *, retryable: bool | None = None
    ) -> None: ...


class FolderTaker:
    """Takes the events of the transfer that lists a folder."""

    def __init__(self, walk: Walk, session: Session, folder: FtpFolder) -> None:
        self.session = session
        self.folder = folder
        self.heard = False
        self._walk = walk
        self._rest = b""
        self._digest = hashlib.blake2b(digest_size=16)
        self._count = 0  # of lines
        self._rows = self._dots = 0  # `.` and `..` apart
        self._understood = False  # at least one row
        self._refused: list[Skipped] = []  # rows before the first that is understood
        self._beginning = b""
        self._parse: Callable[[bytes], Row | None] = facts_row
        self._hidden = False  # LIST was given -a
        folder.tries += 1
        self._begin()

    def on_data(self, data: bytes) -> None:
        self.heard = True
        self._digest.update(data)
        if len(self._beginning) < SHOWN_BYTES:
            self._beginning += data[:SHOWN_BYTES]
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > ROW_BYTES_MAX:
            self._break_off(ProtocolViolation(f"a row of the listing over {ROW_BYTES_MAX} bytes"))
            return
        self._count += len(lines)
        if self._count > ENTRIES_MAX:
            self._break_off(ProtocolViolation(f"more than {ENTRIES_MAX} rows in one folder"))
            return
        for line in lines:
            self._take(line.removesuffix(b"\r"))
        if len(self._refused) > REFUSED_ROWS_MAX:
            self._break_off(self._no_listing())

    def on_end(self, reply: Reply, *, ragged: bool) -> None:
        if ragged:
            self._walk.folder_failed(self, Truncated("the listing's end was cut off under TLS"))
            return
        if self._rest:
            self._count += 1
            self._take(self._rest.removesuffix(b"\r"), cut=True)
            self._rest = b""
        self.folder.digest = self._digest.digest()
        if self._hidden and not self._count:
            self._list_plainly()  # the host may have taken -a for a name
        elif tells_unread(reply):
            self._walk.folder_failed(self, PermissionRefused(f"{DOING}: {reply.text}"))
        elif self._refused:
            self._walk.folder_failed(self, self._no_listing())
        else:
            self._tell(reply)
            self._walk.folder_done(self)

    def _tell(self, reply: Reply) -> None:
        """What the end of the listing says about the whole of it."""
        path, found = self.folder.path, self._walk.found
        cut = tells_cut(reply, self._rows, self._dots)
        if cut:
            found.append(Skipped(path, Reason.LISTING_CUT, cut))
        if self._rows in ROUND_ROWS:
            found.append(RoundListing(path, self._rows))

    def _no_listing(self) -> NotAListing:
        return NotAListing(
            "No row of what the host lists is understood.", shown=show(self._beginning)
        )

    def on_refused(self, reply: Reply) -> None:
        features = self._walk.client.features
        if self._hidden and reply.code >= 500:
            features.list_hidden = False
            self._list_plainly()
        elif self._parse is facts_row and reply.not_implemented:
            features.mlsd = False
            self._begin()
        else:
            self._refuse(reply)

    def _refuse(self, reply: Reply) -> None:
        """A code of 4xx asks to try again (RFC 959 §4.2.1), whatever its words say."""
        error, later = make_refusal(reply, DOING), 400 <= reply.code < 500
        self._walk.folder_failed(self, error, retryable=later)

    def on_error(self, error: TransportError) -> None:
        self._walk.folder_failed(self, error)

    def _begin(self) -> None:
        walk = self._walk
        if walk.client.features.mlsd:
            self._list(b"MLSD", walk.root.at(self.folder.path))
            return
        if not walk.root.path.startswith(b"/"):
            message = (
                "the host does not tell its log-in folder; give an absolute path in options.root"
            )
            walk.inbox.append(lambda: walk.folder_failed(self, PermanentError(message)))
            return
        # An argument of LIST is a pattern on some hosts and an option on others; CWD takes a name.
        self._parse = ListReader(walk.client.features.list_clock).read
        command = walk.client.line(b"CWD", walk.root.at(self.folder.path))
        self.session.send(
            command, lambda outcome: walk.inbox.append(lambda: self._entered(outcome))
        )

    def _list_plainly(self) -> None:
        self._hidden = False
        self._list(b"LIST", b"")

    def _entered(self, outcome: Reply | TransportError) -> None:
        if isinstance(outcome, TransportError):
            self._walk.folder_failed(self, outcome)
        elif not outcome.completed:
            self._refuse(outcome)
        else:
            self._hidden = self._walk.client.features.list_hidden
            self._list(b"LIST -a" if self._hidden else b"LIST", b"")

    def _list(self, verb: bytes, path: bytes) -> None:
        self._walk.client.download(
            self.session, verb, path, self, self._walk.inbox, turn_bytes=TURN_BYTES
        )

    def _take(self, line: bytes, *, cut: bool = False) -> None:
        """`cut`: the listing ended before the row did."""
        try:
            row = self._understand(line)
        except ProtocolViolation as exc:
            self._rows += 1
            skipped = skipped_row(self.folder.path, line, str(exc))
            (self._walk.found if self._understood else self._refused).append(skipped)
            return
        if row is None:
            return
        if not self._understood:
            self._understood = True
            self._walk.found.extend(self._refused)
            self._refused = []
        if row.kind is Kind.ITSELF or row.name in (b".", b".."):
            self._dots += 1
            if row.name in (b".", b"") and not self.folder.unique:
                self.folder.unique = row.unique
            return
        row.cut = cut
        self._rows += 1
        self._walk.take_row(self.folder, row)

    def _understand(self, line: bytes) -> Row | None:
        if not line:
            return None
        if b"\0" in line:
            raise ProtocolViolation("a row of the listing holds a NUL")
        row = self._parse(line)
        if row is not None and not row.name and row.kind is not Kind.ITSELF:
            raise ProtocolViolation("a row of the listing has no name")
        return row

    def _break_off(self, error: TransportError) -> None:
        self._rest = b""
        self._walk.client.drop(self.session)
        self._walk.folder_failed(self, error)

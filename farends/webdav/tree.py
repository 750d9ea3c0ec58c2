"""Lists a tree by PROPFIND: one folder after the other, each row as it arrives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from farends.contract import ROUND_ROWS, Reason, RoundListing, Seen, Skipped
from farends.conversation import Answer, Conversation
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    NotAListing,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TransportError,
    Truncated,
    UnsafeName,
    Vanished,
)
from farends.names import decode, join
from farends.web.answers import status_error
from farends.web.response import Head
from farends.web.url import Origin, Url, quote_path, without_user
from farends.webdav.multistatus import DavRow, Multistatus
from farends.webdav.rows import describe_row, find_name, split_folder
from farends.wire.backlog import Backlog
from farends.wire.far_text import show, skipped_name, skipped_row

REPEATS_MAX = (
    8  # equal listings above a listing: a linked folder that contains itself, served for ever
)
FAILURES_MAX = 3  # folders in a row that cost a connection: then it is the host that fails
_SHOWN_BYTES = 200
_NO_WEBDAV = frozenset({405, 501})
_OF_HOST = (ConnectionStage.RESOLVE, ConnectionStage.CONNECT, ConnectionStage.IDENTITY)
_FIELDS = {"Content-Type": "application/xml; charset=utf-8", "Accept": "application/xml, text/xml"}
_BODY = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)


def url_below(origin: Origin, root: str, path: str) -> Url:
    return Url(origin, "/" + quote_path("/".join(p for p in (root.strip("/"), path) if p)))


def ask_for_folder(conversation: Conversation, root: str, path: str, *, depth: int) -> Answer:
    """The host's answer to a PROPFIND of the folder (0) or of the folder and what lies in it (1)."""
    target = url_below(conversation.origin, root, path).target
    target = target if target == "/" else f"{target}/"
    return conversation.follow(
        "PROPFIND", target, fields={"Depth": str(depth), **_FIELDS}, body=_BODY
    )


@dataclass(eq=False, slots=True)
class _Folder:
    path: str
    above: _Folder | None = None
    parts: list[bytes] = field(default_factory=list)  # of the address that is asked for
    is_told: bool = False  # a row is about the folder itself, or about what lies in it
    rows: int = 0
    below: list[str] = field(default_factory=list)
    digest: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def repeats(self) -> int:
        count, folder = 0, self.above
        while folder is not None:
            count += folder.digest.digest() == self.digest.digest()
            folder = folder.above
        return count


class DavWalk:
    """One listing from the folder `root`. Iterate it once. The walk closes its conversation."""

    def __init__(
        self, conversation: Conversation, root: str, note_host: Callable[[Head], None]
    ) -> None:
        self._conversation = conversation
        self._root = root
        self._note_host = note_host
        self._to_open = [_Folder("")]
        self._backlog = Backlog()
        self._failures = 0  # folders in a row that cost a connection
        self._status = 0  # of the latest answer

    def __iter__(self) -> Iterator[Seen]:
        with self._conversation:
            while self._to_open:
                folder = self._to_open.pop()
                if folder.path:
                    self._backlog.remove(folder.path)
                yield from self._list(folder)

    def _list(self, folder: _Folder) -> Iterator[Seen]:
        pieces = self._read(folder)
        while True:
            try:
                rows = next(pieces, None)
            except TransportError as exc:
                self._forget_below(folder)
                yield self._skip(folder, exc)
                return
            if rows is None:
                break
            for row in rows:
                seen = row if isinstance(row, Skipped) else self._take(folder, *row)
                if seen is not None:
                    yield seen
        self._failures = 0
        if folder.rows in ROUND_ROWS:
            yield RoundListing(folder.path, folder.rows)
        if folder.below and folder.repeats() >= REPEATS_MAX:
            self._forget_below(folder)
            words = "a folder that repeats those above it; its own folders are not followed"
            yield Skipped(folder.path, Reason.LINK, words)
        self._to_open.extend(_Folder(path, folder) for path in folder.below)
        folder.below = []

    def _read(self, folder: _Folder) -> Iterator[list[Skipped | tuple[bytes, DavRow]]]:
        """The rows of the folder's listing that are not about the folder itself, each with its name, as many
        at a time as come together. Raises what the listing as a whole suffers from."""
        answer = ask_for_folder(self._conversation, self._root, folder.path, depth=1)
        self._note_host(answer.head)
        self._status = answer.status
        if answer.status != 207:
            raise _explain_status(answer)
        folder.parts = split_folder(quote_path(f"{self._root}/{folder.path}"))
        if answer.url.origin != self._conversation.origin or (
            split_folder(answer.url.path) != folder.parts
        ):
            answer.pass_over()
            words = f"The host leads from the folder to {show(answer.url.shown)}."
            raise NotAListing(f"{words} Set host and options.root to where the files are.")
        reader = Multistatus()
        beginning = b""
        try:
            for piece in answer:
                beginning = beginning or piece[:_SHOWN_BYTES]
                yield self._name_rows(folder, answer.url, reader.feed(piece))
            yield self._name_rows(folder, answer.url, reader.finish())
        except NotAListing as exc:
            raise NotAListing(str(exc), shown=show(beginning)) from exc
        if not folder.is_told:
            raise NotAListing(
                "The host's answer names no row of the folder that was asked for. Write options.root as the"
                " host itself names the folder."
            )

    def _name_rows(
        self, folder: _Folder, page: Url, rows: list[DavRow]
    ) -> list[Skipped | tuple[bytes, DavRow]]:
        named: list[Skipped | tuple[bytes, DavRow]] = []
        for row in rows:
            try:
                raw = find_name(folder.parts, page, row)
            except ProtocolViolation as exc:
                folder.rows += 1
                named.append(skipped_row(folder.path, without_user(row.href), str(exc)))
                continue
            if raw is not None:
                folder.rows += 1
                named.append((raw, row))
            elif row.status not in (None, 200):
                raise _error_of(row.status)
            elif row.is_folder is False and not folder.is_told:
                raise RootMissing(f"{show(page.path)} is a file and no folder")
            folder.is_told = True
        return named

    def _take(self, folder: _Folder, raw: bytes, row: DavRow) -> Seen | None:
        is_folder = row.is_folder if row.is_folder is not None else _guess_kind(row)
        folder.digest.update(b"%s\0%d%s\0" % (raw, is_folder or 0, row.size.encode()))
        try:
            path = join(folder.path, decode(raw))
        except UnsafeName as exc:
            return skipped_name(folder.path, raw, str(exc))
        if row.status not in (None, 200):
            error = _error_of(row.status)
            again = is_folder is True and _may_help(error)
            return Skipped(path, Reason.UNREADABLE, str(error), retryable=again)
        if is_folder is None:
            return skipped_row(folder.path, raw, "the host does not tell whether this is a folder")
        if not is_folder:
            return describe_row(path, row)
        self._backlog.add(path)
        folder.below.append(path)
        return None

    def _forget_below(self, folder: _Folder) -> None:
        for path in folder.below:
            self._backlog.remove(path)
        folder.below = []

    def _skip(self, folder: _Folder, error: TransportError) -> Skipped:
        """What the error means for the folder. Raises it where it is about the root, or about the host."""
        if isinstance(error, ConnectionLost | Stalled):
            self._failures += 1
        asks_for_less = isinstance(error, Throttled) and (
            error.retry_after_s is not None or self._status == 429
        )  # a bare 503 may be about one folder alone
        if error.stage in _OF_HOST or self._failures >= FAILURES_MAX or asks_for_less:
            raise error
        if folder.path:
            reason = _REASONS.get(type(error), Reason.UNREADABLE)
            return Skipped(folder.path, reason, str(error), retryable=_may_help(error))
        if isinstance(error, Vanished):
            raise RootMissing(
                f"the folder {show(self._root)} does not exist on the host"
            ) from error
        if error.stage is ConnectionStage.READ:
            error.stage = ConnectionStage.LIST
        raise error


_REASONS: dict[type[TransportError], Reason] = {
    NotAListing: Reason.NOT_A_LISTING,
    Truncated: Reason.LISTING_CUT,
}


def _guess_kind(row: DavRow) -> bool | None:
    """Whether a row without a resourcetype is a folder; None where nothing tells."""
    if row.href.endswith("/"):
        return True
    return False if row.size else None


def _may_help(error: TransportError) -> bool:
    """Whether another look at a folder may go better; what is gone is so the next time."""
    return error.retryable and not isinstance(error, Vanished)


def _error_of(status: int | None) -> TransportError:
    """The error that a row's own status stands for."""
    return status_error(Head(status or 0, {}, True, None, False), "listing the folder")


def _explain_status(answer: Answer) -> TransportError:
    """Why a status other than 207 is no listing."""
    if 200 <= answer.status < 300 or answer.status in _NO_WEBDAV:
        beginning = b""
        if answer.status == 200:
            beginning = next(iter(answer), b"")[:_SHOWN_BYTES]
        answer.close()
        return NotAListing(
            f"The host does not speak WebDAV at {show(answer.url.path)}: it answered {answer.status} to"
            " PROPFIND. Check options.root.",
            shown=show(beginning),
        )
    answer.pass_over()
    return status_error(answer.head, "listing the folder")

"""Rows that wait: for a HEAD of their own, or until one file's answer shows which zone the times of rows are in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from farends.contract import RemoteEntry, Seen
from farends.http.index_rows import Link

MINUTE_NS = 60 * 1_000_000_000
HEAD_TRIES_MAX = 3
HEADS_AGAIN_MAX = 1_000  # files that are asked for once more; when so many fail, the rest will too
_HELD_ENTRY_BYTES = 256


class WaitingRows:
    """What is known goes to `found`. `held_bytes` is about what all that waits takes in memory."""

    def __init__(self, found: deque[Seen], note_precision: Callable[[int], None]) -> None:
        self._found = found
        self._note_precision = note_precision
        self.rows_tell_utc: bool | None = None  # None: not known yet
        self.to_head: deque[tuple[RemoteEntry, int]] = deque()  # and the tries before
        self._again: list[tuple[RemoteEntry, int]] = []
        self._rows: list[RemoteEntry] = []  # with times to the minute, until that is known
        self.held_bytes = 0

    def next_head(self) -> tuple[RemoteEntry, int]:
        """The file to ask for next, and how often it was asked for. There must be one."""
        entry, tries = self.to_head.popleft()
        self.held_bytes -= _cost(entry)
        return entry, tries

    def begin_again(self) -> None:
        """Lets the files wait again that need another question. Call it when no others wait."""
        self.to_head.extend(self._again)
        self._again = []

    def take_file(self, path: str, link: Link, *, agrees: bool) -> None:
        """`agrees`: the row shows the name that it leads to; else it may have been torn."""
        size = link.size_bytes
        if size is not None and agrees:
            if link.modified_ns is not None:
                self._found.append(RemoteEntry(path, size, link.modified_ns, link.etag))
                return
            if link.minute_ns is not None:
                self._take_minute_row(RemoteEntry(path, size, link.minute_ns))
                return
        self.head_later(RemoteEntry(path, size if agrees else None, None))

    def head_later(self, entry: RemoteEntry, tries: int = 0) -> None:
        self.held_bytes += _cost(entry)
        self.to_head.append((entry, tries))

    def head_again(self, entry: RemoteEntry, tries: int) -> bool:
        """Asks once more, after all others; whether it is worth that."""
        if tries >= HEAD_TRIES_MAX or len(self._again) >= HEADS_AGAIN_MAX:
            return False
        self.held_bytes += _cost(entry)
        self._again.append((entry, tries))
        return True

    def _take_minute_row(self, row: RemoteEntry) -> None:
        """A row's time is worth nothing until one file's own answer shows which zone rows are in."""
        if self.rows_tell_utc is True:
            self._found.append(row)
        elif self.rows_tell_utc is False:
            self.head_later(row)
        else:
            if not self._rows:
                self.head_later(row)
            self._rows.append(row)
            self.held_bytes += _cost(row)

    def learn_zone(self, row: RemoteEntry, told: RemoteEntry) -> bool:
        """Holds a row against the file's own answer; whether rows may be believed."""
        if self.rows_tell_utc is None:  # an answer without a time proves nothing either
            minute_ns = told.modified_ns and told.modified_ns // MINUTE_NS * MINUTE_NS
            self._decide(minute_ns == row.modified_ns and told.size_bytes == row.size_bytes)
        return self.rows_tell_utc is True

    def doubt_rows(self) -> None:
        """The file that was to show the zone did not answer: every file is asked for itself."""
        if self.rows_tell_utc is None:
            self._decide(False)

    def _decide(self, utc: bool) -> None:
        self.rows_tell_utc = utc
        rows, self._rows = self._rows, []
        self.held_bytes -= sum(map(_cost, rows))
        if utc:
            self._found.extend(rows[1:])
            self._note_precision(MINUTE_NS)
        else:
            for row in rows[1:]:  # the first was asked for
                self.head_later(row)


def _cost(entry: RemoteEntry) -> int:
    """About what it takes in memory."""
    path = entry.path
    return _HELD_ENTRY_BYTES + (len(path) if path.isascii() else 4 * len(path))

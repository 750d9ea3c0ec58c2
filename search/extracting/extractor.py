"""The text of one file after the other: plain text in this process, documents in a child that a hostile one may kill."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import msgspec

from children.confinement import Confinement
from children.starting import end_child, start_module
from search.core.texts import CHARACTERS_MAX, Extracted, Piece, RefusalCode, TextRefusal
from search.extracting import frames
from search.extracting.kinds import (
    COMPOUND_FILE,
    DOCUMENT_KINDS,
    HEAD_BYTES,
    UNKNOWN_OFFICE,
    decide_kind,
    names_a_document,
)
from search.extracting.plain import HELD_BYTES_MAX, read_plain_text

DOCUMENT_BYTES_MAX = 256 << 20
WALL_S = 120.0  # of one document: it has 20 s of CPU time, and a loaded machine is not its fault
_GROWN_BYTES = 128 << 20  # a child that has grown so much gives way to a fresh one
_START_S = 60.0
_LOOKS_EVERY_S = 0.5
_BLOCK_BYTES = 1 << 20
_ANSWER_BYTES_MAX = 5 * CHARACTERS_MAX


class ChildUnavailable(OSError):
    """The child that reads documents does not start on this machine. No document is to blame."""


class Extractor:
    """For a batch of files; the child is started for the first document, and ended with the batch.

    `check` is called at least once a second, and may raise. `folder` is where a document lies while it is read; None: where
    temporary files lie.
    """

    def __init__(
        self,
        check: Callable[[], None] = lambda: None,
        *,
        folder: Path | None = None,
        wall_s: float = WALL_S,
    ) -> None:
        self._check = check
        self._folder = folder
        self._wall_s = wall_s
        self._child: _DocumentChild | None = None

    def __enter__(self) -> Extractor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def child_pid(self) -> int | None:
        """None: there is none now."""
        return self._child.pid if self._child else None

    def extract(
        self, name: str, open_: Callable[[], BinaryIO], size_bytes: int
    ) -> Extracted | TextRefusal:
        """`open_` may be called several times, and until the pieces are read. Raises OSError, ChildUnavailable, and what
        `check` raises."""
        with open_() as file:
            held = file.read(HELD_BYTES_MAX + 1)
            kind = decide_kind(name, held[:HEAD_BYTES])
            if kind in DOCUMENT_KINDS or kind == UNKNOWN_OFFICE:
                return self._read_document(kind, held, file, size_bytes)
            if names_a_document(name) and held.startswith(COMPOUND_FILE):
                return TextRefusal(RefusalCode.ENCRYPTED, "It needs a password.")
            found = read_plain_text(kind, held, file, open_, self._check)
        is_binary = isinstance(found, TextRefusal) and found.code is RefusalCode.BINARY
        if is_binary and names_a_document(name):
            note = "Its content is not what its name says."
            return TextRefusal(RefusalCode.EXTRACT_FAILED, note)
        return found

    def _read_document(
        self, kind: str, held: bytes, rest: BinaryIO, size_bytes: int
    ) -> Extracted | TextRefusal:
        if size_bytes > DOCUMENT_BYTES_MAX:
            return TextRefusal(
                RefusalCode.TOO_LARGE,
                f"It has {size_bytes:,} bytes; documents of up to {DOCUMENT_BYTES_MAX:,} are read.",
            )
        if self._child is not None and self._child.has_ended:
            self._end()
        if self._child is None:
            self._child = _DocumentChild(self._check, self._folder)
        try:
            found = self._child.read(kind, held, rest, self._wall_s)
        except BaseException:
            self._end()
            raise
        if self._child.is_spent:
            self._end()
        return found

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Ended(Exception):
    """The child is gone, or says nothing any more."""

    def __init__(self, refusal: TextRefusal) -> None:
        super().__init__(refusal.note)
        self.refusal = refusal


class _DocumentChild:
    """`is_spent`: the next document needs another child."""

    def __init__(self, check: Callable[[], None], folder: Path | None) -> None:
        self._check = check
        self._buffer = bytearray()
        self.is_spent = False
        with contextlib.ExitStack() as undo:
            self._spool, read_only = _make_spool(folder, undo)
            try:
                self._process = start_module(
                    "search.extracting.child",
                    [str(read_only)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=None,  # why it does not start; what it says of documents goes nowhere
                    passed=[read_only],
                    reach=Confinement(),
                )
            finally:
                os.close(read_only)
            undo.callback(end_child, self._process)
            self._requests = cast("BinaryIO", self._process.stdin)
            self._answers = cast("BinaryIO", self._process.stdout)
            self._select = undo.enter_context(selectors.DefaultSelector())
            self._select.register(self._answers, selectors.EVENT_READ)
            self._wait_until_ready()
            self._undo = undo.pop_all()

    def end(self) -> None:
        self._undo.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def read(
        self, kind: str, held: bytes, rest: BinaryIO, wall_s: float
    ) -> Extracted | TextRefusal:
        """`held` is the beginning of the document, `rest` what follows on it."""
        size_bytes = self._fill_spool(held, rest)
        deadline = time.monotonic() + wall_s
        try:
            request = frames.Request(kind=kind, size_bytes=size_bytes)
            frames.send_frame(self._requests, frames.ASKED, frames.pack(request))
            told, outcome = self._collect(deadline)
        except _Ended as exc:
            self.is_spent = True
            return exc.refusal
        except (BrokenPipeError, msgspec.DecodeError):
            self.is_spent = True
            return _NONSENSE
        self.is_spent = outcome.is_spent or self._has_grown()
        if outcome.code in set(RefusalCode):
            return TextRefusal(RefusalCode(outcome.code), frames.clean_note(outcome.note))
        if outcome.code or outcome.kind not in DOCUMENT_KINDS:
            self.is_spent = True
            return _NONSENSE
        return Extracted(outcome.kind, _iter_told(told))

    def _has_grown(self) -> bool:
        try:
            told = Path(f"/proc/{self.pid}/statm").read_text()
        except OSError:  # no Linux, or it has ended
            return False
        return int(told.split()[1]) * resource.getpagesize() > _GROWN_BYTES

    def _fill_spool(self, held: bytes, rest: BinaryIO) -> int:
        self._spool.seek(0)
        self._spool.truncate()
        self._spool.write(held)
        while block := rest.read(_BLOCK_BYTES):
            self._check()
            self._spool.write(block)
        self._spool.flush()
        return self._spool.tell()

    def _collect(self, deadline: float) -> tuple[list[bytes], frames.ReadOutcome]:
        """What the document says, still packed: that takes a byte or two for each character."""
        told: list[bytes] = []
        size = 0
        while True:
            tag, payload = self._receive_frame(deadline)
            if tag == frames.DONE:
                return told, frames.decode_outcome(payload)
            size += len(payload)
            if tag != frames.PIECES or size > _ANSWER_BYTES_MAX:
                raise _Ended(_NONSENSE)
            frames.check_pieces(payload)
            told.append(payload)

    def _wait_until_ready(self) -> None:
        try:
            tag, _ = self._receive_frame(time.monotonic() + _START_S)
        except _Ended as exc:
            raise ChildUnavailable(f"The child that reads documents does not start. {exc}") from exc
        if tag != frames.READY:
            raise ChildUnavailable("The child that reads documents does not start.")

    def _receive_frame(self, deadline: float) -> tuple[bytes, bytes]:
        tag, length = frames.read_header(self._receive(frames.HEADER_BYTES, deadline))
        if length > frames.FRAME_BYTES_MAX:
            raise _Ended(_NONSENSE)
        return tag, self._receive(length, deadline)

    def _receive(self, size_bytes: int, deadline: float) -> bytes:
        while len(self._buffer) < size_bytes:
            self._check()
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise _Ended(_TIMEOUT)
            if not self._select.select(min(left_s, _LOOKS_EVERY_S)):
                continue
            block = os.read(self._answers.fileno(), _BLOCK_BYTES)
            if not block:
                raise _Ended(_explain_end(self._process.wait()))
            self._buffer += block
        taken = bytes(self._buffer[:size_bytes])
        del self._buffer[:size_bytes]
        return taken


_NONSENSE = TextRefusal(
    RefusalCode.EXTRACT_CRASHED, "The process that read it ended without an answer."
)
_TIMEOUT = TextRefusal(RefusalCode.EXTRACT_TIMEOUT, "Reading it takes too long.")


def _explain_end(code: int) -> TextRefusal:
    if code == -signal.SIGXCPU:
        return TextRefusal(RefusalCode.EXTRACT_TIMEOUT, "Reading it takes too much CPU time.")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return TextRefusal(RefusalCode.EXTRACT_CRASHED, f"The process that read it crashed ({how}).")


def _make_spool(folder: Path | None, undo: contextlib.ExitStack) -> tuple[BinaryIO, int]:
    """A file without a name, and a number by which the child may only read it."""
    number, name = tempfile.mkstemp(dir=folder)
    try:
        spool = undo.enter_context(os.fdopen(number, "r+b"))
        return spool, os.open(name, os.O_RDONLY)
    finally:
        Path(name).unlink()


def _iter_told(told: list[bytes]) -> Iterator[Piece]:
    for packed in told:
        yield from frames.decode_pieces(packed)

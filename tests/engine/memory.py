"""A far end in memory: a mapping of paths to what is there, behind a transport like any other.

For the engine's tests the mapping is a dictionary. For the conformance suite it is a view of a folder on
the disk, so that the same transport answers for all that the suite does to a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from farends import names
from farends.contract import (
    Capabilities,
    Context,
    Digested,
    Fetched,
    Reason,
    Receiver,
    RemoteEntry,
    Seen,
    Sink,
    Skipped,
)
from farends.errors import RootMissing, TransportError, Truncated, UnsafeName, Unstable, Vanished
from farends.reaching import Reach, ReachSecret, follow_options
from farends.spec import Spec, Target, option

PIECE_BYTES = 64 * 1024


class Content(Protocol):
    """A file as it is now. Each of these raises FileNotFoundError where it is none any more."""

    def describe(self) -> tuple[int, int]:
        """Its size in bytes, and when it was modified, in nanoseconds since the epoch."""
        ...

    def read(self, offset: int, count: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class MemoryFile:
    content: bytes
    modified_ns: int

    def describe(self) -> tuple[int, int]:
        return len(self.content), self.modified_ns

    def read(self, offset: int, count: int) -> bytes:
        return self.content[offset : offset + count]


Files = Mapping[str, Content | Skipped]  # by path from the root


@dataclass(frozen=True, slots=True)
class MemoryOptions(Reach):
    root: str = option("Folder", "Which of the far end's trees is read.", default=".")


@dataclass(frozen=True, slots=True, repr=False)
class MemorySecret(ReachSecret):
    pass


class MemoryTransport:
    def __init__(self, files: Files | None, context: Context) -> None:
        self._files = files
        self._context = context

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(modified_precision_ns=1, clock_skew_s=0.0, digests="memory")

    def walk(self) -> Iterator[Seen]:
        return self._walk("")

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return self._walk(f"{folder}/")

    def _walk(self, prefix: str) -> Iterator[Seen]:
        if self._files is None:
            raise RootMissing
        self._context.moved()
        for path, found in self._files.items():
            self._context.check()
            if path.startswith(prefix):
                yield _seen(path.removeprefix(prefix), found)

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        for entry in entries:
            self._context.check()
            yield self._fetch(entry, sink)

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        for entry in entries:
            self._context.check()
            try:
                found = self._find(entry)
                yield Digested(entry, _prefix_sha256(found, found.describe()[0]))
            except (OSError, TransportError):
                yield Digested(entry, None)

    def close(self) -> None:
        """Nothing is held open."""

    def _find(self, entry: RemoteEntry) -> Content:
        found = (self._files or {}).get(entry.path)
        if found is None or isinstance(found, Skipped):
            raise Vanished("it is no regular file any more")
        return found

    def _fetch(self, entry: RemoteEntry, sink: Sink) -> Fetched:
        receiver: Receiver | None = None
        observed: RemoteEntry | None = None
        finished = False
        try:
            found = self._find(entry)
            size = found.describe()[0]
            listed = entry.size_bytes
            observed = _observe(entry, found)
            if listed is not None and size != listed:
                raise (Truncated if size < listed else Unstable)(f"{listed} bytes were listed")
            receiver = sink.receive(entry)
            self._send(found, size, receiver)
            observed = _observe(entry, found)
            receipt = receiver.finish()
            finished = True
            return Fetched(entry, receipt, observed)
        except OSError as exc:
            return Fetched(entry, observed=observed, error=Vanished(str(exc)))
        except TransportError as exc:
            return Fetched(entry, observed=observed, error=exc)
        finally:
            if receiver is not None and not finished:
                receiver.abandon()

    def _send(self, found: Content, size: int, receiver: Receiver) -> None:
        at = receiver.offset
        if at and (at >= size or _prefix_sha256(found, at) != receiver.prefix_sha256()):
            receiver.rewind()
            at = 0
        while at < size:
            self._context.check()
            piece = found.read(at, min(PIECE_BYTES, size - at))
            if not piece:
                raise Truncated(f"the file ended at byte {at} of {size}")
            receiver.write(piece)
            at += len(piece)


def _seen(path: str, found: Content | Skipped) -> Seen:
    safe = ""
    try:
        for part in path.split("/"):
            safe = names.join(safe, part)
    except UnsafeName as exc:
        return Skipped(safe, Reason.UNSAFE_NAME, str(exc))
    if isinstance(found, Skipped):
        return Skipped(safe, found.reason, found.message, found.retryable)
    return RemoteEntry(safe, *found.describe())


def _observe(entry: RemoteEntry, found: Content) -> RemoteEntry:
    return RemoteEntry(entry.path, *found.describe())


def _prefix_sha256(found: Content, size: int) -> bytes:
    digest = hashlib.sha256()
    at = 0
    while at < size and (piece := found.read(at, min(PIECE_BYTES, size - at))):
        digest.update(piece)
        at += len(piece)
    return digest.digest()


def memory_spec(find_files: Callable[[PurePosixPath], Files | None]) -> Spec:
    """A kind whose far end has these trees by root, or None where there is no such root."""

    def connect(target: Target, context: Context) -> MemoryTransport:
        context.check()
        return MemoryTransport(find_files(PurePosixPath(target.options.root)), context)

    return Spec(
        kind="memory",
        title="Memory",
        default_port=1,
        options=MemoryOptions,
        secret=MemorySecret,
        open=follow_options(connect),
    )

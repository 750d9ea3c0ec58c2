"""One file in the staging folder: read while rsync still writes it, gone once it was read where it is not small."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from connectors.contract import Sink
from connectors.errors import ProtocolViolation
from connectors.wire.wanted import Wanted

# A smaller file is there in a moment; following it would cost more than it brings.
FOLLOWED_BYTES_MIN = 1024 * 1024
_KEPT_BYTES_MAX = 64 * 1024
_BLOCK_BYTES = 1024 * 1024
_EXCESS_BYTES_MAX = 8 * 1024 * 1024


def staged_path(folder: Path, path: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + path))


def open_staged(path: Path) -> int | None:
    """A descriptor, None where it is not there yet. What is no regular file of ours is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ProtocolViolation(f"rsync brought what cannot be read: {exc.strerror}") from exc
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise ProtocolViolation("rsync brought what is no regular file")
    return descriptor


class Staged:
    def __init__(self, folder: Path, wanted: Wanted, sink: Sink) -> None:
        self.wanted = wanted
        self._path = staged_path(folder, wanted.path)
        self._sink = sink
        self._descriptor: int | None = None
        self._at = 0
        self._seen_bytes = 0

    @property
    def followed(self) -> bool:
        return (self.wanted.entry.size_bytes or 0) > FOLLOWED_BYTES_MIN

    def grew(self) -> bool:
        """Passes on what arrived since the last call. Whether anything did."""
        if not self._opened():
            return False
        before, self._seen_bytes = self._seen_bytes, self._size_bytes()
        if self.followed:
            self._begin()
            self._pass_on()
        return self._seen_bytes > before

    @property
    def exceeds(self) -> bool:
        """Whether so much more came than was listed that the rest is not worth waiting for."""
        listed = self.wanted.entry.size_bytes
        return listed is not None and self._seen_bytes > listed + _EXCESS_BYTES_MAX

    def complete(self) -> int:
        """Everything has arrived. Returns how many bytes of it stay in the folder."""
        kept_bytes = 0
        if self._opened():
            size_bytes = self._size_bytes()
            if self.wanted.has_size(size_bytes):
                self._begin()
                self._pass_on()
                self.wanted.finish()
            if size_bytes > _KEPT_BYTES_MAX:
                self._path.unlink()
            else:
                kept_bytes = size_bytes
        self.close()
        return kept_bytes

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> bool:
        if self._descriptor is None:
            self._descriptor = open_staged(self._path)
        return self._descriptor is not None

    def _size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size if self._descriptor is not None else 0

    def _begin(self) -> None:
        if self.wanted.receiver is None and self.wanted.error is None:
            self.wanted.receive(self._sink)
            self._at, self.wanted.here_bytes = self.wanted.here_bytes, 0

    def _pass_on(self) -> None:
        """Never more than was listed: what the sink gets is bounded by what it was told."""
        limit = self.wanted.entry.size_bytes
        while self._descriptor is not None and self.wanted.error is None:
            count = _BLOCK_BYTES if limit is None else min(_BLOCK_BYTES, limit - self._at)
            data = os.pread(self._descriptor, count, self._at) if count > 0 else b""
            if not data:
                return
            self._at += len(data)
            self.wanted.write(data)

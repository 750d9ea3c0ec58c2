"""One remote file as a stream: read out of the staging folder while rsync fills it."""

from __future__ import annotations

import io
import os
import shutil
from typing import TYPE_CHECKING

from connectors.errors import TransientError, Vanished
from connectors.wire.rsync_exits import exit_error
from connectors.wire.rsync_far import Far, Place
from connectors.wire.rsync_lines import parse_complaint
from connectors.wire.rsync_staged import open_staged, staged_path
from connectors.wire.rsync_tree import raise_for_root

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FOLLOW_S = 0.02


class RsyncFile(io.RawIOBase):
    """Closing it ends the run. rsync fetches from the first byte, whatever the offset."""

    def __init__(self, far: Far, place: Place, path: bytes, offset: int) -> None:
        super().__init__()
        self._place = place
        self._at = offset
        self._descriptor: int | None = None
        self._staging = far.make_staging()
        self._path = staged_path(self._staging, path)
        self._child = far.fetch(place, [place.name(path)], self._staging, "")
        self._complete = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        while True:
            complete = self._complete
            if self._descriptor is None:
                self._descriptor = open_staged(self._path)
            if self._descriptor is not None:
                count = os.preadv(self._descriptor, [into], self._at)
                if count:
                    self._at += count
                    self._child.progressed()
                    return count
            if complete:
                return 0
            self._wait()

    def close(self) -> None:
        if not self.closed:
            self._child.close()
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            shutil.rmtree(self._staging, ignore_errors=True)
        super().close()

    def _wait(self) -> None:
        if self._child.running:
            self._child.poll(_FOLLOW_S)
            return
        code = self._child.wait()
        for complaint in filter(None, map(parse_complaint, self._child.complaints)):
            raise_for_root(complaint, self._place)
            raise complaint.error
        error = exit_error(code, self._child.complaints)
        if error is not None:
            raise error
        if code:
            raise TransientError(f"rsync ended with code {code}")
        if self._descriptor is None and not self._path.exists():
            raise Vanished("it is no regular file any more")
        self._complete = True

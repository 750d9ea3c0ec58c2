"""How an rsync child is told where the far end is, and what every run of it has in common."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from farends.contract import Context
from farends.rsync.checksums import MD5, Checksum
from farends.rsync.child import RsyncChild
from farends.staging import STAGING_PREFIX


@dataclass(frozen=True, slots=True)
class RsyncSource:
    """`source` is rsync's first word for the far end, `folder` what the root is called below it."""

    source: str
    folder: bytes

    def name(self, path: bytes) -> bytes:
        """Returns a line of `--files-from`: what follows the `/./` is how rsync will call it."""
        return self.folder.rstrip(b"/") + b"/./" + path if self.folder else b"./" + path

    def inside(self, path: bytes) -> bytes | None:
        """A path of a complaint, made relative to the root; None for what is not below it."""
        folder = b"/" + self.folder.strip(b"/")
        path = b"/" + path.lstrip(b"/")
        if path == folder:
            return b""
        prefix = folder.rstrip(b"/") + b"/"
        return path[len(prefix) :] if path.startswith(prefix) else None


class Far:
    """Takes ownership of a private folder, which holds secrets and what is on its way."""

    def __init__(
        self,
        home: Path,
        words: Iterable[str],
        context: Context,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = environment or {}
        self._home = home
        self._words = list(words)
        self._context = context
        self._count = itertools.count()
        self._empty = home / "empty"
        self._empty.mkdir(mode=0o700)
        self._closed = False

    def list_only(
        self, place: RsyncSource, words: Iterable[str], names: Iterable[bytes]
    ) -> RsyncChild:
        """No `--timeout`: whoever reads a listing may take a pause; the watch on the child does not."""
        return self._start([*words, "--list-only", "--no-h"], place, names)

    def fetch(
        self, place: RsyncSource, names: Iterable[bytes], marker: str, checksum: Checksum
    ) -> RsyncChild:
        """Regular files come through the child's channel as `RsyncBatch` reads it; nothing is written
        to disk. `marker` begins the line that is printed for each file.

        No `--timeout`, as in a listing.
        """
        channel = self._home / f"batch-{next(self._count)}"
        words = [
            f"--only-write-batch={channel}",
            "--protocol=31",  # what RsyncBatch knows, whatever a later rsync would rather speak
            "--whole-file",
            "--no-links",
            "--no-devices",
            "--no-specials",
            "--no-perms",
            "--no-owner",
            "--no-group",
            "--no-times",
            f"--out-format={marker}%i %n",
        ]
        if checksum is not MD5:  # what a batch has where nothing is said
            words.append(f"--checksum-choice={checksum.name}")
        if rate := self._context.bandwidth_bytes_per_s:
            words.append(f"--bwlimit={rate / 1024:.2f}")  # in KiB; the host keeps it
        return self._start([*words, "--dirs"], place, names, channel)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            shutil.rmtree(self._home, ignore_errors=True)

    def _start(
        self,
        words: Iterable[str],
        place: RsyncSource,
        names: Iterable[bytes],
        channel: Path | None = None,
    ) -> RsyncChild:
        command = [
            "rsync",
            "--no-motd",
            "--from0",
            "--files-from=-",
            *self._words,
            *words,
            "--",
            place.source,
            f"{self._empty}/",
        ]
        given = b"".join(name + b"\0" for name in names)
        return RsyncChild(
            command, self._home, given, self._context, self._environment, channel=channel
        )


def make_home() -> Path:
    """A folder of TMPDIR that only this user can enter."""
    return Path(tempfile.mkdtemp(prefix=STAGING_PREFIX))

"""rclone as a WebDAV server: a folder of the local disk, links followed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import serving

_RCLONE = Path(sys.executable).parent / "rclone"


@contextlib.contextmanager
def running_rclone_dav(home: Path, folder: Path, *, flags: Sequence[str] = ()) -> Iterator[int]:
    """Yields the port. `flags` are those of `rclone serve webdav`, such as a certificate or a password."""
    port = find_free()
    command = [
        *(str(_RCLONE), "serve", "webdav", str(folder), "--addr", f"127.0.0.1:{port}"),
        *("--config", "", "--read-only", "--copy-links"),
        *("--dir-cache-time", "0", "--poll-interval", "0", "--vfs-cache-mode", "off"),
        *flags,
    ]
    with serving(command, port, home / "rclone.log"):
        yield port

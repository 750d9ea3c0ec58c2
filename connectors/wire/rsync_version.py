"""The rsync program of this machine, and whether the far end lets it in."""

from __future__ import annotations

import re
import subprocess

from connectors.errors import PermanentError, Stage, TransportError
from connectors.wire.rsync_child import RsyncMissing
from connectors.wire.rsync_exits import exit_error
from connectors.wire.rsync_far import Far, Place

# --secluded arguments of file names and the check of what a sender lists (CVE-2022-29154).
_NEEDED = (3, 2, 5)
_ADVISED = (3, 5, 0)
_VERSION = re.compile(rb"rsync +version v?(\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 10


class RsyncTooOld(PermanentError):
    """The rsync program on this machine is too old."""

    stage = Stage.CONNECT


def version_note() -> str:
    """What to say of the local program: empty where all is well. Raises RsyncMissing, RsyncTooOld."""
    try:
        said = subprocess.run(
            ["rsync", "--version"],  # noqa: S607 — found by PATH as the operator set it
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_ANSWER_S,
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise RsyncMissing from exc
    found = _VERSION.match(said)
    if found is None:
        raise RsyncMissing("the program rsync on this machine is not rsync")
    version = tuple(int(part) for part in found.groups())
    text = ".".join(map(str, version))
    if version < _NEEDED:
        raise RsyncTooOld(
            f"rsync {text} on this machine is too old; 3.2.5 is needed, 3.5.0 advised"
        )
    if version < _ADVISED:
        return f"; here rsync {text}, older than 3.5.0 with its security fixes"
    return f"; here rsync {text}"


def check_log_in(far: Far, place: Place) -> None:
    """Asks for the module's folder and nothing in it. Raises what the daemon refuses with."""
    child = far.list_only(Place(place.source, b""), ["--dirs", "--exclude=*"], [b"./"])
    try:
        while child.running:
            child.poll()
        error = exit_error(child.wait(), child.complaints)
    except TransportError as exc:
        exc.stage = Stage.LOG_IN
        raise
    finally:
        child.close()
    if error is not None:
        raise error

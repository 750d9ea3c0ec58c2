"""The rsync program of this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from children.confinement import landlock_version
from farends.errors import ConnectionStage, PermanentError
from farends.rsync.child import RsyncMissing

# --secluded arguments of file names and the check of what a sender lists (CVE-2022-29154).
_NEEDED = (3, 2, 5)
_ADVISED = (3, 5, 0)
_VERSION = re.compile(rb"rsync +version v?(\d+)\.(\d+)\.(\d+)")
_ANSWER_S = 10


class RsyncTooOld(PermanentError):
    """The rsync program on this machine is too old."""

    stage = ConnectionStage.CONNECT


def version_note() -> str:
    """What to say of the local program: empty where all is well. Raises RsyncMissing, RsyncTooOld."""
    program = shutil.which("rsync")
    if program is None:
        raise RsyncMissing
    try:
        note = _version_note(program, Path(program).stat().st_mtime_ns)
    except OSError as exc:
        raise RsyncMissing from exc
    if not landlock_version():
        note += ", which reaches all files of this user: the kernel has no Landlock"
    return note


@lru_cache(maxsize=8)
def _version_note(program: str, modified_ns: int) -> str:
    """Asks the program once; another program is another argument."""
    try:
        said = subprocess.run(  # noqa: S603 — found by PATH as the operator set it
            [program, "--version"],
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

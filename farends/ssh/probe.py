"""What the far end's shell has, asked once after the log-in."""

from __future__ import annotations

import time
from dataclasses import dataclass

from farends.errors import ConnectionStage
from farends.secure_shell.commands import NoShell, ShellSession
from farends.secure_shell.scripts import PROBE, Script, folder_argument
from farends.wire.far_text import show

# A kernel stamps files at its timer's tick, which is up to 10 ms.
TICK_NS = 10_000_000
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Shell:
    tar_version: str
    modified_precision_ns: int
    clock_skew_s: float | None
    clock_error_s: float


def probe_shell(session: ShellSession, root: bytes) -> Shell:
    """Raises NoShell, which says what is missing, where files cannot be fetched by commands."""
    asked_at = time.time()
    channel = session.run(Script(PROBE, (folder_argument(root),)), stage=ConnectionStage.LOG_IN)
    try:
        said = channel.answer()
    finally:
        channel.close()
    answered_at = time.time()
    lines = [*said.split(b"\n"), b"", b"", b"", b"", b"", b""]
    kind, modified, missing, head, clock, tar = lines[:6]
    if kind != b"d":
        raise NoShell("the host has no GNU find")
    if missing.strip():
        raise NoShell(f"the host has no {show(missing.strip())}")
    if head != b"bc":
        raise NoShell("the host's head takes more than it is asked for")
    if b"GNU tar" not in tar:
        raise NoShell("the host has no GNU tar")
    return Shell(
        tar_version=show(tar.rpartition(b" ")[2]),
        modified_precision_ns=_precision_ns(modified),
        clock_skew_s=_skew_s(clock, (asked_at + answered_at) / 2),
        clock_error_s=round((answered_at - asked_at) / 2, 3),
    )


def _precision_ns(modified: bytes) -> int:
    """A whole second may be chance, and then costs little; a fraction proves a finer clock."""
    fraction = modified.partition(b".")[2].strip(b"0")
    return TICK_NS if fraction else _SECOND_NS


def _skew_s(clock: bytes, here_s: float) -> float | None:
    try:
        return float(clock) - here_s
    except ValueError:
        return None

"""rsync's exit codes, each with what it means here (rsync(1), EXIT VALUES)."""

from __future__ import annotations

from farends.errors import (
    AuthRefused,
    ConnectionLost,
    PermanentError,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TransientError,
    TransportError,
    Unreachable,
)
from farends.wire.far_text import show

# What is about single files: their answers tell, the run itself went well.
PARTIAL = frozenset({0, 23, 24})

EXITS: dict[int, tuple[type[TransportError], str]] = {
    1: (ProtocolViolation, "a word of the command is not known; one of the rsyncs is too old"),
    2: (ProtocolViolation, "the two rsyncs speak no common protocol, or a shell prints text"),
    3: (PermanentError, "the folder cannot be used"),
    4: (ProtocolViolation, "the host's rsync does not support this"),
    5: (ProtocolViolation, "the daemon refused"),
    6: (TransientError, "the daemon cannot write its log"),
    10: (ConnectionLost, "the connection failed"),
    11: (TransientError, "the staging folder cannot be written"),
    12: (ConnectionLost, "the connection ended before the work did"),
    13: (TransientError, "the diagnostics failed"),
    14: (TransientError, "the processes lost each other"),
    15: (ConnectionLost, "a process of rsync crashed"),
    16: (ConnectionLost, "a process of rsync was ended"),
    19: (ConnectionLost, "rsync was ended by a signal"),
    20: (ConnectionLost, "rsync was ended by a signal"),
    21: (TransientError, "rsync lost a process"),
    22: (TransientError, "rsync has no memory left"),
    25: (TransientError, "rsync stopped at its limit of deletions"),
    30: (Stalled, "the far end went silent"),
    35: (Unreachable, "the daemon did not answer in time"),
    124: (ProtocolViolation, "the host's shell failed"),
    125: (ConnectionLost, "the host's shell was killed"),
    126: (ProtocolViolation, "the host's shell cannot run rsync"),
    127: (ProtocolViolation, "there is no rsync on the host"),
    255: (ConnectionLost, "the SSH connection failed"),
}

_DAEMON_SAYS: tuple[tuple[bytes, type[TransportError]], ...] = (
    (b"auth failed", AuthRefused),
    (b"access denied", AuthRefused),
    (b"Unknown module", RootMissing),
    (b"max connections", Throttled),
    (b"invalid uid", PermanentError),
    (b"invalid gid", PermanentError),
    (b"chroot failed", PermanentError),
    (b"chdir failed", RootMissing),
)


def exit_error(code: int, complaints: list[bytes]) -> TransportError | None:
    """Returns None if the run itself went well. Negative codes are signals."""
    if code in PARTIAL:
        return None
    told = next((line for line in complaints if b"rsync error:" not in line and line.strip()), b"")
    for line in complaints:
        for words, kind in _DAEMON_SAYS:
            if code == 5 and words in line:
                return kind(show(line.removeprefix(b"@ERROR: ")))
    kind, meaning = EXITS.get(code, (ConnectionLost, "rsync was ended"))
    return kind(f"rsync (code {code}): {meaning}" + (f": {show(told)}" if told else ""))

"""What rsync prints, read back: listings, and complaints about one file."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from connectors.errors import (
    PermissionRefused,
    ProtocolViolation,
    TransientError,
    TransportError,
    Unstable,
    Vanished,
)
from connectors.wire.shown import shown

_SECOND_NS = 1_000_000_000
_ESCAPE = re.compile(rb"\\#([0-7]{3})")
_LISTED = re.compile(
    rb"([-dlpscbD?])[-rwxsStT]{9}[+.@]? +(\d+) (\d+/\d\d/\d\d \d\d:\d\d:\d\d) (.+)"
)
_COMPLAINT = re.compile(
    rb"(?:rsync: )?(?:\[\w+\] )?(?P<verb>[^\"]*?)\(?\"(?P<path>.*)\"\)?(?: \(in .*?\))?"
    rb"(?: failed)?(?:: (?P<text>[^\"]*?))?(?: \((?P<errno>\d+)\))?"
)
_UNVERIFIED = re.compile(rb"(?:WARNING|ERROR): (?P<path>.*) failed verification .*")


def unescape(raw: bytes) -> bytes:
    """A name as rsync prints it in the C locale: `\\#ooo` for every byte that is not plain."""
    if b"\\#" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw)


class Listed(NamedTuple):
    """`kind` is the first letter of the mode: - d l p s c b."""

    kind: bytes
    size_bytes: int
    modified_ns: int
    path: bytes


def parse_listed(line: bytes) -> Listed:
    """A line of `rsync --list-only`. Raises ProtocolViolation."""
    found = _LISTED.fullmatch(line)
    if found is None:
        raise ProtocolViolation(f"rsync said {shown(line)}")
    kind, size, moment, path = found.groups()
    return Listed(kind, int(size), _moment_ns(moment), unescape(path))


@lru_cache(maxsize=4096)
def _moment_ns(moment: bytes) -> int:
    """Of `2020/09/13 12:26:40`; files that came together often share it."""
    day, _, clock = moment.partition(b" ")
    year, month, of_month = (int(part) for part in day.split(b"/"))
    if not (1 <= month <= 12 and 1 <= of_month <= 31):
        raise ProtocolViolation(f"rsync told the day {shown(day)}")
    hours, minutes, seconds = (int(part) for part in clock.split(b":"))
    return calendar.timegm((year, month, of_month, hours, minutes, seconds)) * _SECOND_NS


@dataclass(frozen=True, slots=True)
class Complaint:
    """`path` as the far end calls the file: from its module, or from its own root."""

    verb: str
    path: bytes
    text: str
    errno: int | None

    @property
    def error(self) -> TransportError:
        match self.errno, self.verb:
            case _, "file has vanished: ":
                return Vanished()
            case _, "verification":
                return Unstable(self.text)
            case 2, _:
                return Vanished(self.text)
            case 1 | 13, _:
                return PermissionRefused(self.text)
        return TransientError(f"rsync: {self.verb.strip()}: {self.text}")


def parse_complaint(line: bytes) -> Complaint | None:
    """None for what is not about one file."""
    found = _UNVERIFIED.fullmatch(line)
    if found is not None:
        text = "the file changed while rsync read it"
        return Complaint("verification", unescape(found["path"]), text, None)
    found = _COMPLAINT.fullmatch(line)
    if found is None:
        return None
    return Complaint(
        verb=found["verb"].decode("ascii", "replace"),
        path=unescape(found["path"]),
        text=shown(found["text"] or b""),
        errno=int(found["errno"]) if found["errno"] else None,
    )

"""What rsync prints, read back: listings, and complaints about one file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache
from typing import NamedTuple

from farends.errors import (
    PermissionRefused,
    TransientError,
    TransportError,
    Unstable,
    Vanished,
)
from farends.wire.far_text import show

_SECOND_NS = 1_000_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ESCAPE = re.compile(rb"\\#([0-7]{3})")
_LISTED = re.compile(
    rb"([-dlpscbD?])[-rwxsStT]{9}[+.@]? +(\d{1,30}) (\d{1,12}/\d\d/\d\d \d\d:\d\d:\d\d) (.+)"
)
_MODULE_END = re.compile(rb"\)")
_ERRNO_FIGURES_MAX = 5
_UNVERIFIED = re.compile(rb"(?:WARNING|ERROR): (?P<path>.*) failed verification .*")


def unescape_row(raw: bytes) -> bytes:
    """A name as rsync prints it in the C locale: `\\#ooo` for every byte that is not plain."""
    if b"\\#" not in raw:
        return raw
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), raw)


class RsyncRow(NamedTuple):
    """`kind` is the first letter of the mode: - d l p s c b D, and ? for what rsync does not know."""

    kind: bytes
    size_bytes: int
    modified_ns: int | None
    path: bytes


def parse_listed(line: bytes) -> RsyncRow | None:
    """A line of `rsync --list-only`; None where it is none."""
    found = _LISTED.fullmatch(line)
    if found is None:
        return None
    kind, size, moment, path = found.groups()
    try:
        return RsyncRow(kind, int(size), _moment_ns(moment), unescape_row(path))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _moment_ns(moment: bytes) -> int | None:
    """Of `2020/09/13 12:26:40`; files that came together often share it. None for a year that no calendar
    of ours holds. Raises ValueError for what is no day."""
    day, _, clock = moment.partition(b" ")
    year, month, of_month = (int(part) for part in day.split(b"/"))
    hours, minutes, seconds = (int(part) for part in clock.split(b":"))
    if not MINYEAR <= year <= MAXYEAR:
        return None
    days = date(year, month, of_month).toordinal() - _EPOCH_DAY
    seconds += days * 86_400 + hours * 3_600 + minutes * 60
    return seconds * _SECOND_NS


@dataclass(frozen=True, slots=True)
class RsyncComplaint:
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


def parse_complaint(line: bytes) -> RsyncComplaint | None:
    """Returns None for what is not about one file."""
    found = _UNVERIFIED.fullmatch(line)
    if found is not None:
        text = "the file changed while rsync read it"
        return RsyncComplaint("verification", unescape_row(found["path"]), text, None)
    told, errno = _without_errno(line.removeprefix(b"rsync: "))
    verb, quote, rest = told.partition(b'"')
    path, closing, rest = rest.rpartition(b'"')
    said = _text_behind(rest)
    if not quote or not closing or said is None:
        return None
    if verb.startswith(b"["):
        verb = verb.partition(b"] ")[2]
    return RsyncComplaint(
        verb=verb.removesuffix(b"(").decode("ascii", "replace"),
        path=unescape_row(path),
        text=show(said),
        errno=errno,
    )


def _without_errno(line: bytes) -> tuple[bytes, int | None]:
    """`… (13)` ends it."""
    before, bracket, number = line.removesuffix(b")").rpartition(b" (")
    if bracket and line.endswith(b")") and number.isdigit() and len(number) <= _ERRNO_FIGURES_MAX:
        return before, int(number)
    return line, None


def _text_behind(rest: bytes) -> bytes | None:
    """What follows the path: `) (in MODULE) failed: TEXT`, of which all may be missing. None for more."""
    rest = rest.removeprefix(b")")
    if rest.startswith(b" (in "):
        ends = (match.end() for match in _MODULE_END.finditer(rest))
        rest = next((rest[end:] for end in ends if _is_ending(rest, end)), b" ")
    rest = rest.removeprefix(b" failed")
    if rest.startswith(b": "):
        return rest[2:]
    return None if rest else b""


def _is_ending(rest: bytes, at: int) -> bool:
    return at == len(rest) or rest.startswith((b" failed", b": "), at)

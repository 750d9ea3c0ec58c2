"""Rows of an FTP listing, and how MLSx tells them (RFC 3659 §7). Pure."""

from __future__ import annotations

import calendar
import functools
import re
import time
from dataclasses import dataclass
from enum import Enum, auto

from farends.errors import ProtocolViolation
from farends.ftp.list_times import When
from farends.wire.far_text import show

_BEYOND = 1 << 63
SECOND_NS = 1_000_000_000
FRACTION_NS = 10_000_000  # a kernel stamps files at its timer's tick, however many digits are told


class Kind(Enum):
    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    SPECIAL = auto()
    ITSELF = auto()  # the folder listed, or the one above it


@dataclass(slots=True)
class Row:
    """`kind` None: not told. `unique` is the host's own identity of the file (RFC 3659 §7.5.2),
    `listed_ns` the coarse time of a LIST."""

    name: bytes
    kind: Kind | None
    size_bytes: int | None = None
    modified_ns: int | None = None
    unique: bytes = b""
    when: When | None = None  # of a row of LIST, in the host's own zone
    listed_ns: int | None = None
    cut: bool = False  # the listing ended before the row did: its name may go on
    ask: bool = False  # the name may begin elsewhere, so the host is asked for a file of this name


_KINDS = {
    b"file": Kind.FILE,
    b"dir": Kind.FOLDER,
    b"cdir": Kind.ITSELF,
    b"pdir": Kind.ITSELF,
}
_LINKS = (b"os.unix=slink", b"os.unix=symlink", b"os.unix=link")
_SPECIALS = tuple(
    b"os.unix=" + name for name in (b"chr", b"blk", b"fifo", b"pipe", b"sock", b"dev", b"door")
)
_TIME = re.compile(rb"(\d{8})(\d\d)(\d\d)(\d\d)(?:\.(\d{1,18}))?")


def facts_row(line: bytes) -> Row:
    """A row of MLSD, or of MLST without its leading blank. Raises ProtocolViolation."""
    facts, blank, name = line.partition(b" ")
    if not blank or b"=" not in facts:
        raise ProtocolViolation("a row of the listing has no facts")
    # Each fact ends with a semicolon, and one blank is before the name (RFC 3659 §7.2).
    row = Row(name, None, ask=facts[-1:] != b";" or name[:1] == b" ")
    for fact in facts.split(b";"):
        key, _, value = fact.partition(b"=")
        key = key.lower()
        if key == b"type":
            row.kind = _kind(value.lower())
        elif key == b"size":
            row.size_bytes = parse_size(value)
            if row.size_bytes is None and value.isdigit():
                raise ProtocolViolation("a row of the listing tells a size that no file has")
        elif key == b"modify":
            row.modified_ns = time_ns(value)
        elif key == b"unique":
            row.unique = value[:100]
    return row


def _kind(value: bytes) -> Kind:
    """Raises ProtocolViolation: what is of a kind that nobody knows may be a file."""
    known = _KINDS.get(value)
    if known is not None:
        return known
    if value.startswith(_LINKS):
        return Kind.LINK
    if value.startswith(_SPECIALS):
        return Kind.SPECIAL
    raise ProtocolViolation(
        f"a row of the listing tells a kind that is not known: {show(value, 60)}"
    )


def parse_size(value: bytes) -> int | None:
    """Returns None for what is no number, and for one that no 64 bits hold."""
    size = int(value) if value.isdigit() and len(value) < 20 else _BEYOND
    return size if size < _BEYOND else None


def time_ns(value: bytes) -> int | None:
    """YYYYMMDDHHMMSS with fractions, in UTC; None for what is no time."""
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    day_s = _day_s(found[1])
    if day_s is None:
        return None
    seconds = day_s + int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4])
    fraction = int(found[5].ljust(9, b"0")[:9]) if found[5] else 0
    return seconds * 10**9 + fraction


@functools.lru_cache(maxsize=1024)
def _day_s(day: bytes) -> int | None:
    year, month, date = int(day[:4]), int(day[4:6]), int(day[6:])
    if not (1 <= month <= 12 and 1 <= date <= 31 and year >= 1):
        return None
    return calendar.timegm((year, month, date, 0, 0, 0))


_ZONE_MAX_S = 14 * 3600


def zone_s(when: When, modified_ns: int) -> int | None:
    """How far the zone of a row's time is ahead of UTC, by the same file's time in UTC; None where the
    row tells no time of day, or one that no zone explains."""
    if when.year is not None or not when.month:
        return None
    minute_s = modified_ns // SECOND_NS // 60 * 60
    year = time.gmtime(minute_s).tm_year
    told = [
        calendar.timegm((y, when.month, when.day, when.hour, when.minute, 0))
        for y in (year - 1, year, year + 1)
    ]
    ahead_s = min((each - minute_s for each in told), key=abs)
    return ahead_s if abs(ahead_s) <= _ZONE_MAX_S and ahead_s % 900 == 0 else None

"""Rows of LIST, in the forms that hosts have: `ls` of Unix in any language, IIS, EPLF, VMS, IBM i and NetWare. Pure.

No form is in any standard. What a row leaves open is left out: an ambiguous date tells no time. The cost
of a row grows with its length only: fields are split, and no pattern tries a row twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from farends.errors import ProtocolViolation
from farends.ftp.list_times import ListClock, When
from farends.ftp.rows import Kind, Row, parse_size
from farends.wire.month_names import find_month

_FIELDS_MAX = 14  # before a name: a group may hold blanks
_KINDS = {b"-": Kind.FILE, b"d": Kind.FOLDER, b"l": Kind.LINK}
_SPECIALS = frozenset(b"pscbDnC")
_RIGHTS = frozenset(b"-rwxsStTlL")
_YEARS = range(1900, 2200)
# `total` as the languages of coreutils have it, before any row.
_TOTAL_WORDS = (
    "total insgesamt totale totaal totalt итого razem celkem celkovo yhteensä összesen toplam загалом общо σύνολο"
    " 合計 합계 总用量 总计 總計 總用量 guztira kokku viso kopā skupaj ukupno укупно tổng jumlah סה\"כ המגמה المجموع iomlán sume"
    " агулам барлығы samtals gesamt summe"
)  # fmt: skip
_TOTALS = frozenset(_TOTAL_WORDS.split())


@dataclass(frozen=True, slots=True)
class _Dated:
    """A time that was found in a row: how many fields it takes, and how many blanks part it from the
    name. `exact_ns`: told with its zone."""

    fields: int
    when: When
    blanks: int = 1
    exact_ns: int | None = None


class ListReader:
    """Reads one listing. The first row that is understood decides the form of all."""

    def __init__(self, clock: ListClock | None = None) -> None:
        self._clock = clock
        self._vms = _Vms()
        self._forms: tuple[_Form, ...] = (
            unix_row, dos_row, eplf_row, netware_row, ibm_row, self._vms.row
        )  # fmt: skip

    def read(self, line: bytes) -> Row | None:
        """Returns None for a line that names nothing. Raises ProtocolViolation for one that is not understood."""
        for form in self._forms:
            row = form(line)
            if row is not None:
                self._forms = (form,)
                if self._clock is not None and row.when is not None:
                    row.listed_ns = self._clock.find_ns(row.when)
                row.ask = True  # no standard says where a name begins
                return row
        if not line.strip() or self._names_nothing(line):
            return None
        raise ProtocolViolation("a row of the listing has a form that is not known")

    def _names_nothing(self, line: bytes) -> bool:
        first = len(self._forms) > 1
        if first and _is_total(line):
            return True
        return (first or self._forms[0] == self._vms.row) and self._vms.is_beside(line)


def _is_total(line: bytes) -> bool:
    words = line[:100].split()
    if not 2 <= len(words) <= 3 or not words[-1].rstrip(b"KMGT").replace(b".", b"").isdigit():
        return False
    try:
        word = words[0].decode("utf-8")
    except UnicodeDecodeError:
        word = words[0].decode("latin-1")
    return word.lower().rstrip(":") in _TOTALS or words[:-1] == [b"i", b"alt"]


def unix_row(line: bytes) -> Row | None:
    """`-rw-r--r-- 1 owner group 10 Nov 14 22:13 name`, with or without links, owner and group; `ls -l` of
    GNU, BSD and busybox, with any of their ways to tell a time."""
    return _plain_row(line) or _any_unix_row(line)


def _plain_row(line: bytes) -> Row | None:
    """The form of most rows, at less cost: no field holds a blank, and one blank is before the name."""
    fields = line.split(None, 8)
    if len(fields) < 9 or not _is_mode(fields[0]) or not fields[4].isdigit():
        return None
    _, _, owner, group, size, month, day, clock, name = fields
    start = len(line) - len(name)
    if line[start - 1] != 32 or line[start - 2 : start - 1].isspace() or line[0] == 32:
        return None
    if b"-" in owner + group or find_month(owner) is not None or find_month(group) is not None:
        return None
    if len(month) + len(day) + len(clock) > 60 or b"-" in month:
        return None
    dated = _plain_date(month, day, clock)
    if dated is None:
        return None
    return _named(name, _KINDS.get(fields[0][:1], Kind.SPECIAL), size, dated)


@functools.lru_cache(maxsize=4096)
def _plain_date(month: bytes, day: bytes, clock: bytes) -> _Dated | None:
    return None if len(clock) > 5 else _date_at(b"", [month, day, clock, b""], 0)


def _any_unix_row(line: bytes) -> Row | None:
    fields = line.split(None, _FIELDS_MAX)
    if len(fields) < 4 or not _is_mode(fields[0]) or line[0] == 32:
        return None
    dated, at = _find_date(line, fields, 2)
    if dated is None:
        return None
    kind = _KINDS.get(fields[0][:1], Kind.SPECIAL)
    name = _rest(line, fields, at + dated.fields)[dated.blanks :]
    return _named(name, kind, fields[at - 1], dated)


def _named(name: bytes, kind: Kind, size: bytes, dated: _Dated) -> Row | None:
    if kind is Kind.LINK:
        name = name.partition(b" -> ")[0]
    elif kind is Kind.FOLDER and len(name) > 1:
        name = name.removesuffix(b"/")
    if not name:
        return None
    if name in (b".", b".."):
        kind = Kind.ITSELF
    if kind is not Kind.FILE:
        return Row(name, kind)
    size_bytes = parse_size(size)
    if size_bytes is None:
        return None
    return Row(name, kind, size_bytes, dated.exact_ns, when=dated.when)


def _is_mode(field: bytes) -> bool:
    return len(field) in (10, 11) and _is_known_mode(field)


@functools.lru_cache(maxsize=256)
def _is_known_mode(field: bytes) -> bool:
    if not (field[:1] in _KINDS or field[0] in _SPECIALS):
        return False
    return _RIGHTS.issuperset(field[1:10]) and field[10:] in (b"", b"+", b".", b"@")


def _find_date(line: bytes, fields: list[bytes], first: int) -> tuple[_Dated | None, int]:
    """The first time after a number, and the field where it begins."""
    for at in range(first, min(len(fields) - 1, _FIELDS_MAX - 3)):
        if fields[at - 1].isdigit():
            dated = _date_at(line, fields, at)
            if dated is not None:
                return dated, at
    return None, 0


def _rest(line: bytes, fields: list[bytes], count: int) -> bytes:
    """What follows the first `count` fields, with the blanks before it."""
    position = 0
    for field in fields[:count]:
        position = line.index(field, position) + len(field)
    return line[position:]


def _date_at(line: bytes, fields: list[bytes], at: int) -> _Dated | None:
    first = fields[at]
    if first[:1].isdigit() and first.count(b"-") in (1, 2):
        return _iso_at(line, fields, at)
    if len(fields) < at + 4:
        return None
    second = fields[at + 1]
    month = find_month(first)
    day = _day(second)
    if month is None or day is None:
        month, day = find_month(second), _day(first)
    if month is None or day is None:
        return None
    third = fields[at + 2]
    year = _year(third)
    if year is not None:
        return _Dated(3, When(year, month, day))
    clock = _clock(third)
    if clock is None:
        return None
    # `22:13:21 2023`: with the seconds, `ls -T` of BSD tells the year too.
    year = _year(fields[at + 3]) if len(clock) == 3 and len(fields) > at + 4 else None
    return _Dated(3 if year is None else 4, When(year, month, day, *clock))


def _iso_at(line: bytes, fields: list[bytes], at: int) -> _Dated | None:
    """`2023-11-14 22:13`, `2023-11-14 22:13:21.5 +0100`, `11-14 22:13`, and `2023-11-14 ` for what is old."""
    parts = fields[at].split(b"-")
    if not all(part.isdigit() and len(part) in (2, 4) for part in parts):
        return None
    year = _year(parts[0]) if len(parts) == 3 else None
    month, day = int(parts[-2]), int(parts[-1])
    if (len(parts) == 3 and year is None) or not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    rest = _rest(line, fields, at + 1)
    clock = _clock(fields[at + 1].partition(b".")[0]) if rest[1:2] != b" " else None
    if clock is None:
        old = When(year, month, day)
        return None if year is None else _Dated(1, old, 2 if rest[:2] == b"  " else 1)
    when = When(year, month, day, *clock)
    zone = fields[at + 2] if len(fields) > at + 3 else b""
    if len(clock) == 3 and len(zone) == 5 and zone[:1] in b"+-" and zone[1:].isdigit():
        fraction = fields[at + 1].partition(b".")[2]
        return _Dated(3, when, 1, _exact_ns(when, zone, fraction))
    return _Dated(2, when)


def _exact_ns(when: When, zone: bytes, fraction: bytes) -> int | None:
    ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    try:
        told = datetime(
            when.year or 0, when.month, when.day, when.hour, when.minute, when.second, tzinfo=UTC
        )
        told += ahead if zone[:1] == b"-" else -ahead
    except (ValueError, OverflowError):
        return None
    parts = fraction[:9].ljust(9, b"0") if fraction.isdigit() else b"0"
    return round(told.timestamp()) * 10**9 + int(parts)


def _day(field: bytes) -> int | None:
    number = field.rstrip(b".,")
    for sign in (b"\xe6\x97\xa5", b"\xec\x9d\xbc"):  # of Chinese and Japanese, of Korean
        number = number.removesuffix(sign)
    return int(number) if number.isdigit() and len(number) < 3 and 1 <= int(number) <= 31 else None


def _year(field: bytes) -> int | None:
    for sign in (b"\xe5\xb9\xb4", b"\xeb\x85\x84"):
        field = field.removesuffix(sign)
    found = int(field) if len(field) == 4 and field.isdigit() else 0
    return found if found in _YEARS else None


def _clock(field: bytes) -> tuple[int, ...] | None:
    """`22:13` or `22:13:21`."""
    parts = field.split(b":", 3)
    if len(parts) not in (2, 3) or not all(part.isdigit() and len(part) < 3 for part in parts):
        return None
    numbers = tuple(map(int, parts))
    return numbers if numbers[0] < 24 and max(numbers[1:]) < 61 and len(parts[1]) == 2 else None


def dos_row(line: bytes) -> Row | None:
    """IIS and others: `11-14-23  10:13PM  1,010 name`, `2023-11-14 22:13 <DIR> name`, `14.11.2023 22:13 ...`."""
    fields = line.split(None, 3)
    if len(fields) < 4 or not fields[0][:1].isdigit():
        return None
    half = fields[1][-2:].upper()
    clock = _clock(fields[1][:-2] if half in (b"AM", b"PM") else fields[1])
    date = _dos_date(fields[0], american=half in (b"AM", b"PM"))
    if clock is None or date is None:
        return None
    if half in (b"AM", b"PM"):
        clock = (clock[0] % 12 + (12 if half == b"PM" else 0), *clock[1:])
    what, name = fields[2], fields[3]
    if what[:1] == b"<" and what[-1:] == b">":
        kind = {b"<DIR>": Kind.FOLDER}.get(what.upper(), Kind.LINK)
        return Row(name, Kind.ITSELF if name in (b".", b"..") else kind)
    size = parse_size(what.translate(None, b",.'"))
    when = None if date.month == 0 else replace(date, hour=clock[0], minute=clock[1])
    return None if size is None else Row(name, Kind.FILE, size, when=when)


def _dos_date(field: bytes, *, american: bool) -> When | None:
    """`month` 0 where day and month can be taken for each other. IIS writes month-day-year with AM or PM."""
    sign = next((each for each in (b"-", b"/", b".") if each in field), b"-")
    parts = field.split(sign, 3)
    if len(parts) != 3 or not all(part.isdigit() and len(part) in (1, 2, 4) for part in parts):
        return None
    if len(parts[0]) == 4:
        year, month, day = map(int, parts)
    else:
        month, day, year = map(int, parts)
        if len(parts[2]) == 2:
            year += 1900 if year >= 70 else 2000
        if sign == b"." or month > 12:
            month, day = day, month
        elif day <= 12 and day != month and not american:
            return When(year, 0, 0)
    return (
        When(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 and year in _YEARS else None
    )


def eplf_row(line: bytes) -> Row | None:
    """`+i8388621.48594,m825718503,r,s280,<tab>name` (Easily Parsed LIST Format, in UTC)."""
    facts, tab, name = line.partition(b"\t")
    if line[:1] != b"+" or not tab or not name:
        return None
    row = Row(name, None)
    for fact in facts[1:].split(b","):
        if fact in (b"/", b"r"):
            row.kind = Kind.FOLDER if fact == b"/" else Kind.FILE
        elif fact[:1] == b"s" and fact[1:].isdigit():
            row.size_bytes = parse_size(fact[1:])
            if row.size_bytes is None:
                return None
        elif fact[:1] == b"m" and fact[1:].isdigit() and len(fact) < 13:
            row.modified_ns = int(fact[1:]) * 10**9
        elif fact[:1] == b"i":
            row.unique = fact[1:101]
    return None if row.kind is None else row


def netware_row(line: bytes) -> Row | None:
    """`- [RWCEAFMS] owner  214059  Oct 20 15:27    name`."""
    if line[:1] not in (b"-", b"d") or b"[" not in line[1:3]:
        return None
    _, bracket, rest = line[:200].partition(b"]")
    if not bracket:
        return None
    rest = line[len(line[:200]) - len(rest) :]
    fields = rest.split(None, _FIELDS_MAX)
    dated, at = _find_date(rest, fields, 1) if len(fields) > 3 else (None, 0)
    if dated is None:
        return None
    name = _rest(rest, fields, at + dated.fields).lstrip(b" ")
    return _named(name, _KINDS[line[:1]], fields[at - 1], dated)


_IBM_KINDS = {
    b"*DIR": Kind.FOLDER, b"*DDIR": Kind.FOLDER, b"*FLR": Kind.FOLDER, b"*LIB": Kind.FOLDER,
    b"*STMF": Kind.FILE, b"*DSTMF": Kind.FILE, b"*DOC": Kind.FILE, b"*FILE": Kind.FILE, b"*MEM": Kind.FILE,
    b"*SYMLNK": Kind.LINK,
}  # fmt: skip


def ibm_row(line: bytes) -> Row | None:
    """IBM i: `QSYS  77824  02/23/00 15:09:55 *DIR  name/`. How it writes a date is the host's own setting,
    so it tells no time."""
    fields = line.split(None, 5)
    if len(fields) == 6 and fields[1].isdigit() and _clock(fields[3]) is not None:
        size, what, name = fields[1], fields[4], fields[5]
    else:
        fields = line.split(None, 2)
        if len(fields) < 3 or fields[1] != b"*MEM":
            return None
        size, what, name = b"", fields[1], fields[2]
    name = name.rstrip(b" ")
    kind = Kind.FOLDER if name.endswith(b"/") else _IBM_KINDS.get(what)
    name = name.removesuffix(b"/")
    if kind is None or not name:
        return None
    if name in (b".", b".."):
        kind = Kind.ITSELF
    return Row(name, kind, parse_size(size) if kind is Kind.FILE else None)


class _Vms:
    """`NAME.EXT;1  3/4  14-NOV-2023 22:13:21  [OWNER] (RWED,RWED,RE,)`; a long name stands on a line of its
    own. Sizes are blocks, which are no size of a file."""

    def __init__(self) -> None:
        self._last = b""
        self._open = False  # the other fields of the last name are on the next line

    def row(self, line: bytes) -> Row | None:
        full, _, rest = line.rstrip(b" ").partition(b" ")
        name, sign, version = full.rpartition(b";")
        if not (name and sign and version.isdigit()) or not self._is_told(rest):
            return None
        self._open = not rest
        if name == self._last:
            return Row(name, Kind.ITSELF)  # an older version
        self._last = name
        if name.upper().endswith(b".DIR"):
            return Row(name[:-4], Kind.FOLDER)
        return Row(name, Kind.FILE)

    def is_beside(self, line: bytes) -> bool:
        """Whether it is a heading, the sum, or the second line of a name."""
        if self._open and line[:1] in (b" ", b"\t"):
            self._open = False
            return self._is_told(line)
        heading = line.startswith(b"Directory ") and b"[" in line
        return heading or line.startswith((b"Total of ", b"Grand total of "))

    @staticmethod
    def _is_told(rest: bytes) -> bool:
        """Whether these are the fields after a name: blocks and a date, an error, or nothing."""
        fields = rest.split(None, 3)
        if not fields or fields[0][:1] == b"%":
            return True
        blocks = fields[0].replace(b"/", b"")
        return blocks.isdigit() and len(fields) > 1 and fields[1].count(b"-") == 2


_Form = Callable[[bytes], Row | None]

"""The cursor of a REST entity: the latest value that was read, as the source printed it, and how it is asked for. Pure.

The mark is a value that was read, and none that is later than the beginning of the reading by the host's own
clock: what changes while pages are read may lie behind the page that is being read, and is asked for again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from farends.rows.contract import CursorOrder, Mark, MarkKind
from farends.rows.inference import ValueType, classify_string
from farends.rows.json_text import Cells, Path, parse_path, show_cell

_EMPTY = b"null"
_NUMBER = re.compile(r"-?[0-9]{1,30}+(?:\.[0-9]{1,30}+)?+", re.ASCII)
_FRACTION = re.compile(r"\.([0-9]++)")
_ZONE = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})?\Z")
_MILLISECONDS_FROM = Decimal(10) ** 11  # seconds of the year 5138
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = frozenset({ValueType.DATE, ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_time(text: str, form: str = "") -> Decimal | None:
    """Seconds since the epoch; None for what is no time. A number is one only where `form` says so."""
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        if form == "epoch_ms":
            return number / 1000
        if form == "epoch":
            return number
        if form == "iso8601":  # the field is a number, and the parameter is not
            return number / 1000 if abs(number) >= _MILLISECONDS_FROM else number
        return None
    if classify_string(text) not in _TIMES:
        return None
    return _read_iso(text)


def _read_iso(text: str) -> Decimal:
    fraction = _FRACTION.search(text)
    whole = text[: fraction.start()] + text[fraction.end() :] if fraction else text
    zone = _ZONE.search(whole, 11)
    offset = timedelta()
    if zone is not None:
        offset = timedelta(hours=int(zone[2]), minutes=int(zone[3] or 0))
        offset = -offset if zone[1] == "-" else offset
        whole = whole[: zone.start()]
    moment = datetime.fromisoformat(whole.removesuffix("Z")).replace(tzinfo=UTC) - offset
    seconds = Decimal((moment - _EPOCH) // timedelta(seconds=1))
    return seconds + Decimal(f"0.{fraction[1]}") if fraction else seconds


def write_bound(order: CursorOrder, text: str) -> str:
    """What the parameter says, so that everything from `text` on comes; `lag_s` earlier where that is said. Where
    neither lag nor format change it, it is the source's own text."""
    form, lag = order.format or "text", Decimal(str(order.lag_s or 0))
    is_number = _NUMBER.fullmatch(text) is not None
    time = read_time(text, form)
    if time is None or (not lag and (form == "text" or is_number == form.startswith("epoch"))):
        return text
    return write_time(time - lag, form)


def write_time(time: Decimal, form: str) -> str:
    """Not later than the time, which has less than a form may have room for."""
    match form:
        case "epoch":
            return str(math.floor(time))
        case "epoch_ms":
            return str(math.floor(time * 1000))
        case _:
            return _write_iso(time)


def _write_iso(time: Decimal) -> str:
    whole = math.floor(time)
    text = (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    micros = int((time - whole) * 1_000_000)
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


class CursorSeen:
    """Follows the cursor of all objects that are read. `begun_s`: the host's clock when the reading began."""

    def __init__(self, order: CursorOrder, since: Mark | None, begun_s: float) -> None:
        self.order = order
        self.without = 0
        self._path: Path = (order.field,)
        self._begun = Decimal(str(begun_s))
        self._best = None if since is None else since.text
        self._is_known = False

    @property
    def mark(self) -> Mark | None:
        if self._best is None or not self.order.param:
            return None
        return Mark(MarkKind.PARAM, self.order.field, self._best)

    @property
    def is_known(self) -> bool:
        """Whether any object had the field, if only with null in it."""
        return self._is_known

    def look(self, rows: Sequence[Cells]) -> int:
        """How many of the objects have no value there."""
        found = self._find(rows)
        values = [cell for cell in found if cell != _EMPTY]
        if values:
            self._take(values)
        return len(found) - len(values)

    def _find(self, rows: Sequence[Cells]) -> list[bytes]:
        name = self.order.field
        cells = [bytes(row[name]) if name in row else None for row in rows]
        if "." in name and cells.count(None) == len(cells):
            cells = [_find_inside(row, parse_path(name)) for row in rows]
        self._is_known = self._is_known or cells.count(None) < len(cells)
        return [_EMPTY if cell is None else cell for cell in cells]

    def _take(self, cells: Sequence[bytes]) -> None:
        top = _find_top(cells)
        texts = [show_cell(cell) or "" for cell in (cells if top is None else [top])]
        if top is not None and not self._is_settled(texts[0]):
            texts = [show_cell(cell) or "" for cell in cells]
        for text in texts:
            if self._is_settled(text) and (self._best is None or self._is_later(text)):
                self._best = text

    def _is_later(self, text: str) -> bool:
        return self._rank(text) > self._rank(self._best or "")

    def _is_settled(self, text: str) -> bool:
        time = read_time(text, self.order.format)
        return time is None or time <= self._begun

    def _rank(self, text: str) -> tuple[int, Decimal, str]:
        if _NUMBER.fullmatch(text):
            return 0, Decimal(text), ""
        time = read_time(text)
        return (2, Decimal(), text) if time is None else (1, time, "")


def _find_inside(row: Cells, path: Path) -> bytes | None:
    cells: Cells | None = row
    found: msgspec.Raw | None = None
    for step in path:
        if cells is None or not isinstance(step, str) or step not in cells:
            return None
        found = cells[step]
        cells = _MEMBERS.decode(found) if bytes(found)[:1] == b"{" else None
    return None if found is None else bytes(found)


def _find_top(cells: Iterable[bytes]) -> bytes | None:
    """The greatest, where texts of one length and form tell it without being read; else None."""
    forms = {(len(cell), cell[:1] == b'"', cell[-2:-1], cell[11:12]) for cell in cells}
    if len(forms) != 1:
        return None
    _, quoted, end, _ = next(iter(forms))
    if quoted:
        return max(cells) if end == b"Z" else None
    return max(cells) if all(cell.isdigit() for cell in cells) else None

"""Text of Excel workbooks: each row is a line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from search.core.texts import RefusalCode
from search.extracting.parts import Attributes, PartHandler, Parts
from search.extracting.telling import Document, DocumentRefused, Teller

_WORKBOOK = "xl/workbook.xml"
_SHARED = "xl/sharedStrings.xml"
_STYLES = "xl/styles.xml"
_SHEET = re.compile(r"xl/worksheets/sheet([0-9]+)\.xml")
_SHARED_BYTES_MAX = 96 << 20
_STRING_BYTES = 80  # of an empty one, with its place in the list
_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_FORMAT_MAX = 255  # as in Excel
_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001 — a workbook knows no zone
_LAST_DAY = 2_958_465  # 9999-12-31


def read_xlsx(document: Document, teller: Teller) -> None:
    parts = Parts(document)
    sheets = _find_sheets(parts)
    if not sheets:
        parts.require("xl/worksheets/sheet1.xml")
    shared, styles = _Shared(), _Styles()
    if parts.has(_SHARED):
        parts.walk(_SHARED, shared)
    if parts.has(_STYLES):
        parts.walk(_STYLES, styles)
    for title, name in sheets:
        parts.walk(name, _Rows(teller, title, shared.strings, styles.dates))


def _find_sheets(parts: Parts) -> list[tuple[str, str]]:
    """The name and the part of each sheet, in the order of the workbook."""
    found: list[tuple[str, str]] = []
    if parts.has(_WORKBOOK):
        named = _Names()
        parts.walk(_WORKBOOK, named)
        targets = parts.find_targets(_WORKBOOK)
        for title, relation in named.sheets:
            kind, path = targets.get(relation, ("", ""))
            if kind in ("worksheet", "") and parts.has(path):
                found.append((title, path))
    if found:
        return found
    numbered = [(int(match[1]), name) for name in parts.names if (match := _SHEET.fullmatch(name))]
    return [(str(number), name) for number, name in sorted(numbered)]


class _Names(PartHandler):
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str]] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
            self.sheets.append((" ".join(attributes.get("name", "").split()), relation))


class _Shared(PartHandler):
    """Texts that several cells have."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self._words: list[str] = []
        self._is_text = False
        self._is_sound = False
        self._bytes = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "t":
            self._is_text = not self._is_sound
        elif name == "rPh":  # how a Japanese word sounds
            self._is_sound = True

    def end(self, name: str) -> None:
        if name == "t":
            self._is_text = False
        elif name == "rPh":
            self._is_sound = False
        elif name == "si":
            text = " ".join("".join(self._words).split())
            self._words = []
            self._bytes += _STRING_BYTES + len(text)
            if self._bytes > _SHARED_BYTES_MAX:
                raise DocumentRefused(RefusalCode.TOO_LARGE, "Its texts need too much memory.")
            self.strings.append(text)

    def text(self, text: str) -> None:
        if self._is_text:
            self._words.append(text)


class _Styles(PartHandler):
    """Which styles of cells show a number as a date."""

    def __init__(self) -> None:
        self.dates: set[int] = set()
        self._formats = set(_DATE_FORMATS)
        self._count = -1  # of the styles of cells, while these are read

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "numFmt":
            if _shows_time(attributes.get("formatCode", "")):
                self._formats.add(_whole(attributes.get("numFmtId", "")))
        elif name == "cellXfs":
            self._count = 0
        elif name == "xf" and self._count >= 0:
            if _whole(attributes.get("numFmtId", "")) in self._formats:
                self.dates.add(self._count)
            self._count += 1

    def end(self, name: str) -> None:
        if name == "cellXfs":
            self._count = -1


class _Rows(PartHandler):
    def __init__(self, teller: Teller, title: str, shared: list[str], dates: set[int]) -> None:
        self._teller = teller
        self._title = title
        self._shared = shared
        self._dates = dates
        self._row = 0
        self._cells: list[str] = []
        self._words: list[str] = []
        self._type = ""
        self._is_date = False
        self._is_value = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self._type = attributes.get("t", "")
            self._is_date = _whole(attributes.get("s", "")) in self._dates
        elif name in ("v", "t"):
            self._is_value = True
        elif name == "row":
            self._row = _whole(attributes.get("r", "")) if "r" in attributes else self._row + 1

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._is_value = False
        elif name == "c":
            value = self._show("".join(self._words))
            self._words = []
            if value:
                self._cells.append(value)
        elif name == "row" and self._cells:
            row = " | ".join(self._cells)
            self._cells = []
            self._teller.add(f"{row}\n", f"sheet {self._title} row {self._row}")

    def text(self, text: str) -> None:
        if self._is_value:
            self._words.append(text)

    def _show(self, raw: str) -> str:
        if self._type == "s":
            number = _whole(raw)
            return self._shared[number] if 0 <= number < len(self._shared) else ""
        if self._type == "b":
            return "TRUE" if raw == "1" else "FALSE"
        if self._type in ("", "n"):
            return _show_number(raw, is_date=self._is_date)
        return " ".join(raw.split())


def _shows_time(format_: str) -> bool:
    shown = _QUOTED.sub("", format_[:_FORMAT_MAX]).lower()
    return any(sign in shown for sign in "ymdhs") and "general" not in shown


def _show_number(raw: str, *, is_date: bool) -> str:
    """As Excel shows it: 15 digits, and a date as a date."""
    try:
        number = float(raw[:40])
    except ValueError:
        return " ".join(raw.split())
    if is_date and 0 < number <= _LAST_DAY:
        at = _DAY_0 + timedelta(days=number)
        at += timedelta(microseconds=500_000)
        shown = at.replace(microsecond=0).isoformat(sep=" ")
        if number < 1:
            return shown[11:]
        return shown.removesuffix(" 00:00:00")
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.15g}"


def _whole(raw: str) -> int:
    """-1: it is no number."""
    return int(raw) if raw.isdecimal() and len(raw) < 10 else -1

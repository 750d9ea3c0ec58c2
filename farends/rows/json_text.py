"""A JSON text, taken apart no further than needed: values stay as they are written, so numbers stay exact."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

Cells = dict[str, msgspec.Raw]  # of one object: each value as it is written
Path = tuple[str | int, ...]

_BOM = b"\xef\xbb\xbf"
_STEP = re.compile(r"([^.\[\]]++)|\[(-?[0-9]{1,9}+)\]", re.ASCII)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|(u0000)|.)",
    re.DOTALL,
)
_UNUSED = [f"\\u{code:04x}".encode() for code in range(0xFDD0, 0xFDF0)]  # of no text: noncharacters
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[Cells])
_TEXT = msgspec.json.Decoder(str)


class NotJson(ValueError):
    """The text is not JSON, or was cut."""


class NotThere(LookupError):
    """Nothing is there, or what is there is of another kind."""


@lru_cache(256)
def parse_path(text: str) -> Path:
    """`data.items[-1].id`: names, `[n]` and `[-1]`, joined by dots. Empty: the whole. Raises ValueError."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        if text[at] == "." and at:
            at += 1
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is no path: names and [n], joined by dots")
        steps.append(found[1] if found[1] is not None else int(found[2]))
        at = found.end()
        if at < len(text) and text[at] not in ".[":
            raise ValueError(f"{text!r} is no path: names and [n], joined by dots")
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of a list, and what of it is no object, each with its place."""

    rows: list[Cells]
    strays: tuple[tuple[int, bytes], ...] = ()


class JsonText:
    """Raises NotJson. `doubtful`: some cell may hold what PostgreSQL refuses: NUL, half of a surrogate pair, bytes
    that are no UTF-8."""

    def __init__(self, content: bytes) -> None:
        self._content = content.removeprefix(_BOM)
        self._mark = b""  # stands for half of a pair
        self._halves: Iterator[bytes] = iter(())
        self.kind = self._check()
        self.doubtful = bool(self._mark) or b"\\u0000" in self._content or not self._is_utf8()

    def _check(self) -> str:
        """The first sign of the text, once the whole is known to be JSON."""
        try:
            _check_whole(self._content)
        except NotJson:
            self._replace_halves()
            _check_whole(self._content)
        return self._content.lstrip(b" \t\r\n")[:1].decode("ascii")

    def _replace_halves(self) -> None:
        """The reader refuses a whole page for half of a pair: another sign takes its place, and is known again."""
        lowered = self._content.lower()
        unused = next(
            (one for one in _UNUSED if one not in lowered and _decoded(one) not in lowered), b""
        )
        halves: list[bytes] = []

        def replace(found: re.Match[bytes]) -> bytes:
            if not unused or not found[1]:
                return found[0]
            halves.append(found[0])
            return unused

        self._content = _ESCAPE.sub(replace, self._content)
        if halves:
            self._mark, self._halves = unused, iter(halves)

    def _is_utf8(self) -> bool:
        if self._content.isascii():
            return True
        try:
            self._content.decode()
        except UnicodeDecodeError:
            return False
        return True

    def find(self, path: Path) -> msgspec.Raw | None:
        """What stands there as it is written; None where nothing does."""
        found = msgspec.Raw(self._content)
        for step in path:
            try:
                if isinstance(step, str):
                    found = _MEMBERS.decode(found)[step]
                else:
                    found = _ITEMS.decode(found)[step]
            except (msgspec.MsgspecError, UnicodeDecodeError, LookupError):
                return None
        return found

    def names(self) -> list[str]:
        """Of the members of the whole, where it is an object."""
        try:
            return list(_MEMBERS.decode(self._content))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return []

    def plain(self) -> object:
        """The whole as Python's values, for who looks for words in it; None where it has bytes that are no text."""
        try:
            return msgspec.json.decode(self._content)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def objects(self, path: Path) -> Objects:
        """Raises NotThere where there is no list."""
        found = self.find(path)
        if found is None:
            raise NotThere
        try:
            return Objects(_OBJECTS.decode(found))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _sort_out(found)

    def find_fault(self, cell: bytes) -> str | None:
        """What of a cell PostgreSQL refuses, in words."""
        try:
            cell.decode()
        except UnicodeDecodeError:
            return "holds bytes that are no UTF-8"
        if self._mark and self._mark in cell:
            return "holds half of a surrogate pair"
        if b"\\u0000" in cell and any(found[2] for found in _ESCAPE.finditer(cell)):
            return "holds NUL, which PostgreSQL has no text for"
        return None

    def as_it_came(self, raw: bytes) -> bytes:
        """With the halves of pairs that were replaced. Call it with what holds some, in the order of the text."""
        if not self._mark:
            return raw
        return re.sub(re.escape(self._mark), lambda found: next(self._halves, found[0]), raw)


def _decoded(escape: bytes) -> bytes:
    return chr(int(escape[2:], 16)).encode()


def _check_whole(content: bytes) -> None:
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotJson(str(exc)) from None


def _sort_out(found: msgspec.Raw) -> Objects:
    try:
        items = _ITEMS.decode(found)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NotThere from None
    rows: list[Cells] = []
    strays: list[tuple[int, bytes]] = []
    for place, item in enumerate(items):
        try:
            rows.append(_MEMBERS.decode(item))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            strays.append((place, bytes(item)))
    return Objects(rows, tuple(strays))


def read_string(cell: bytes) -> str:
    """The text of a JSON string."""
    return cell[1:-1].decode() if b"\\" not in cell else _TEXT.decode(cell)


def show_cell(cell: bytes | msgspec.Raw | None) -> str | None:
    """A value as text: a string's own, all else as it is written. None is null."""
    if cell is None or (written := bytes(cell)) == b"null":
        return None
    if not written.startswith(b'"'):
        return written.decode(errors="replace")
    try:
        return read_string(written)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return written[1:-1].decode(errors="replace")


def restore_object(cells: Cells) -> bytes:
    """An object as it came, but for spaces and for how its names were escaped."""
    members = [msgspec.json.encode(name) + b":" + bytes(cell) for name, cell in cells.items()]
    return b"{" + b",".join(members) + b"}"


def join_objects(texts: Sequence[bytes]) -> bytes:
    """The list of objects that are each a text of its own, such as the lines of JSONL."""
    return b"[" + b",".join(texts) + b"]"

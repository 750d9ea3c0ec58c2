"""Text of HTML, in one pass that is linear whatever the nesting and whatever is left open.

The standard library's parser looks again and again for the end of what has none: each of a million comments that are
opened and never closed costs a pass over the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from html import unescape

from search.core.texts import TextRefusal
from search.extracting.plain import decode_all
from search.extracting.telling import Document, DocumentRefused, Teller

_READ_BYTES_MAX = 32 << 20


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CHARSET = re.compile(rb"(?i)<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w.:-]{1,40})")
_TAG = re.compile(r"<(?:(/?)([a-zA-Z][^\s/>]{0,99})|(!--)|[!?/])")
_BLANKS = re.compile(r"[ \t\n\r\f]+")
_HIDING = re.compile(r"(?i)display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden")
_ATTRIBUTE = re.compile(r"[\s/]*([^\s/>=]*)")
_EQUALS = re.compile(r"\s*=\s*")
_VALUE = re.compile(r"[^\s>]*")
# What is inside is no text of the page.
_UNREAD = _names(
    "noscript template svg math nav object select button iframe canvas audio video map datalist applet"
)
_RAW = {
    name: re.compile(rf"(?i)</{name}(?=[\s/>])")
    for name in ("script", "style", "title", "textarea", "xmp", "noembed", "noframes", "iframe")
}
_VOID = _names("area base br col embed hr img input link meta param source track wbr")
_ENDED_BY_NEXT = _names("p li dt dd tr td th option")
_LINES = _names("li tr dt dd option")
_BLOCKS = _names(
    "p div section article table ul ol dl pre blockquote main body caption figure figcaption form fieldset header footer"
    " aside details summary address hr h1 h2 h3 h4 h5 h6 thead tbody tfoot legend dialog hgroup search menu center"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_NAMED_MAX = 50  # attributes that are looked at, of one tag
_SPEAKING = ("hidden", "style", "alt")


def read_html(document: Document, teller: Teller) -> None:
    teller.has_lines = True
    raw = document.file.read(_READ_BYTES_MAX)
    text = decode_html(raw)
    if isinstance(text, TextRefusal):
        raise DocumentRefused(text.code, text.note)
    tell_html(text, teller, "")


def decode_html(raw: bytes) -> str | TextRefusal:
    """By its own words where these name a charset, and what it has is no UTF-8."""
    named = _CHARSET.search(raw[:2048])
    if named and not raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode(named[1].decode("ascii", "ignore"))
        except (LookupError, UnicodeError):  # it says what is wrong
            pass
    return decode_all(raw)


def tell_html(source: str, teller: Teller, place: str) -> None:
    """The text as a reader sees it, without menus; a title and headings are told as such."""
    writer = _Writer(teller, place)
    _Page(source, writer).read()
    writer.end()


class _Writer:
    """Joins words to lines: blanks are one, an element that stands by itself begins a line or a paragraph."""

    def __init__(self, teller: Teller, place: str) -> None:
        self._teller = teller
        self._place = place
        self._breaks = 0  # line ends that come before the next word
        self._needs_blank = False
        self._is_begun = False
        self._is_ended = False  # the line, by a heading
        self.kept_as_is = 0  # open elements whose blanks count
        self._heading: list[str] | None = None
        self._level = 0

    def begin_heading(self, level: int) -> None:
        self._heading, self._level = [], level

    def end_heading(self) -> None:
        if self._heading is None:
            return
        text = "".join(self._heading)
        self._heading = None
        self.write_heading(text, self._level)

    def write_heading(self, text: str, level: int) -> None:
        if text := " ".join(text.split()):
            self._write_breaks()
            self._teller.add_heading(text, self._place, level)
            self._is_ended = True

    def break_line(self, count: int) -> None:
        if self._heading is not None:
            self._heading.append(" ")
        else:
            self._breaks = max(self._breaks, count)
            self._needs_blank = False

    def write(self, text: str) -> None:
        if self._heading is not None:
            self._heading.append(text)
            return
        if self.kept_as_is:
            self._write_breaks()
            self._teller.add(text, self._place)
            return
        words = _BLANKS.sub(" ", text)
        core = words.strip(" ")
        if not core:
            self._needs_blank = self._needs_blank or bool(words)
            return
        if self._breaks or self._is_ended or not self._is_begun:
            self._write_breaks()
        elif self._needs_blank or words[0] == " ":
            core = f" {core}"
        self._needs_blank = words[-1] == " "
        self._teller.add(core, self._place)

    def _write_breaks(self) -> None:
        missing = self._breaks - self._is_ended
        if missing > 0 and self._is_begun:
            self._teller.add("\n" * missing, self._place)
        self._breaks = 0
        self._is_begun, self._is_ended = True, False

    def end(self) -> None:
        self.end_heading()
        if self._is_begun and not self._is_ended:
            self._teller.add("\n", self._place)


class _Page:
    """Walks over the tags. What is opened and never closed goes to the end of the source, and is looked for once."""

    def __init__(self, source: str, writer: _Writer) -> None:
        self._source = source
        self._writer = writer
        self._at = 0
        # The elements that are open within the one that is not read, and how often each is.
        self._unread: list[str] = []
        self._open: Counter[str] = Counter()

    def read(self) -> None:
        source = self._source
        while self._at < len(source):
            found = _TAG.search(source, self._at)
            begin = found.start() if found else len(source)
            if begin > self._at and not self._unread:
                self._writer.write(_unescape(source[self._at : begin]))
            if found is None:
                return
            self._at = found.end()
            if found[3]:
                self._skip_to("-->")
            elif not found[2]:
                self._skip_to(">")
            elif found[1]:
                self._skip_to(">")
                self._end(found[2].lower())
            else:
                self._begin(found[2].lower())

    def _skip_to(self, sign: str) -> None:
        end = self._source.find(sign, self._at)
        self._at = len(self._source) if end < 0 else end + len(sign)

    def _begin(self, name: str) -> None:
        attributes = self._read_attributes()
        if name in _RAW:
            self._read_raw(name)
            return
        if name == self._unread_root and name in _ENDED_BY_NEXT:
            self._leave()
        if self._unread:
            if name not in _VOID:
                self._enter(name)
            return
        if name not in _VOID and (name in _UNREAD or _is_hidden(attributes)):
            self._enter(name)
            return
        self._show(name, attributes)

    def _show(self, name: str, attributes: dict[str, str]) -> None:
        writer = self._writer
        if name in _HEADINGS:
            writer.end_heading()
            writer.break_line(2)
            writer.begin_heading(_HEADINGS[name])
        elif name in _BLOCKS:
            writer.end_heading()
            writer.break_line(2)
            writer.kept_as_is += name == "pre"
        elif name in _LINES or name == "br":
            writer.break_line(1)
            if name == "li":
                writer.write("- ")
        elif name in ("td", "th"):
            writer.write(" | ")
        elif attributes.get("alt"):
            writer.write(f" {attributes['alt']} ")

    def _end(self, name: str) -> None:
        if self._unread:
            self._end_unread(name)
            if self._unread:
                return
        writer = self._writer
        if name in _HEADINGS:
            writer.end_heading()
            writer.break_line(2)
        elif name in _BLOCKS:
            writer.break_line(2)
            if name == "pre" and writer.kept_as_is:
                writer.kept_as_is -= 1
        elif name in _LINES:
            writer.break_line(1)

    @property
    def _unread_root(self) -> str:
        return self._unread[0] if len(self._unread) == 1 else ""

    def _enter(self, name: str) -> None:
        self._unread.append(name)
        self._open[name] += 1

    def _leave(self) -> None:
        self._unread.clear()
        self._open.clear()

    def _end_unread(self, name: str) -> None:
        """An end tag that nothing within has opened ends what is around it, and so the unread element."""
        if not self._open[name]:
            self._leave()
            return
        while self._unread:
            last = self._unread.pop()
            self._open[last] -= 1
            if last == name:
                return

    def _read_raw(self, name: str) -> None:
        """Up to its own end tag, whatever stands in it."""
        found = _RAW[name].search(self._source, self._at)
        text = self._source[self._at : found.start() if found else len(self._source)]
        self._at = len(self._source)
        if found:
            self._at = found.end()
            self._skip_to(">")
        if self._unread:
            return
        if name == "title":
            self._writer.write_heading(_unescape(text), 1)
        elif name in ("textarea", "xmp"):
            self._writer.write(_unescape(text) if name == "textarea" else text)

    def _read_attributes(self) -> dict[str, str]:
        """Of those that say something here. It ends behind the tag."""
        source = self._source
        end = source.find(">", self._at)
        if end < 0:
            self._at = len(source)
            return {}
        part = source[self._at : end]
        if '"' not in part and "'" not in part and not any(name in part for name in _SPEAKING):
            self._at = end + 1
            return {}
        return self._read_each_attribute()

    def _read_each_attribute(self) -> dict[str, str]:
        source, at = self._source, self._at
        found: dict[str, str] = {}
        while at < len(source) and source[at] != ">":
            name = _ATTRIBUTE.match(source, at)
            at = name.end() if name else len(source)
            value = ""
            if equals := _EQUALS.match(source, at):
                value, at = self._read_value(equals.end())
            if name and name[1] and len(found) < _NAMED_MAX:
                found.setdefault(name[1].lower(), value)
        self._at = at + 1
        return found

    def _read_value(self, at: int) -> tuple[str, int]:
        source = self._source
        quote = source[at : at + 1]
        if quote in ('"', "'") and quote:
            end = source.find(quote, at + 1)
            if end < 0:  # the rest of the page is its value
                return "", len(source)
            return source[at + 1 : end], end + 1
        found = _VALUE.match(source, at)
        return (found[0], found.end()) if found else ("", at)


def _is_hidden(attributes: dict[str, str]) -> bool:
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDING.search(attributes.get("style", "")[:2_000]))
    )


def _unescape(text: str) -> str:
    if "&" not in text:
        return text
    try:
        return unescape(text)
    except ValueError:  # a number of thousands of digits
        return text

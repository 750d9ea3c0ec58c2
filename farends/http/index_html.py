"""HTML index pages, read tag by tag as they arrive, in time that grows with their length alone. Pure.

A tag is what HTML's own tokenizer takes for one: a quote counts only after `=`. No pattern here can
back up: each of their parts takes what it can and gives nothing back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from farends.errors import ProtocolViolation
from farends.http.index_rows import (
    ROW_MAX,
    SORTING,
    BadIndexRow,
    Link,
    NotUnderstood,
    Row,
    parse_file_size,
    unescape_references,
)
from farends.web.dates import iso_ns, minute_ns

_VALUE = r"""=\s*+(?:"[^"]*+"|'[^']*+'|(?!["']))"""
_TAG = re.compile(rf"<(/?[a-zA-Z][^\s/>]*+)((?:[^>=]++|{_VALUE})*+)>")
_ATTRIBUTE = re.compile(
    r"""([^\s"'<>/=]++)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>][^\s>]*+)))?+"""
)
_QUOTED = re.compile(r"""=\s*+(?:"[^"]*+"|'[^']*+')""")
_LINK_WITHIN = re.compile(r"<(?:a\s|/a>)", re.IGNORECASE)  # a quote that never ended took it in
# A whole row of nginx's, where its reference needs no unescaping.
_NGINX_PLAIN = re.compile(
    r'<a href="([^"&<>\r\n]*+)">([^<>&]*+(?:\.\.&gt;)?+)</a> ++(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d) ++(\d{1,18})'
    r"[ \t]*+\r?\n",
    re.ASCII,
)
_NGINX_COLUMNS = re.compile(
    r"\s*+(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d)[ \t]++(\d++)[ \t\r]*+", re.ASCII
)
_CLOCK = re.compile(r"\d\d:\d\d", re.ASCII)
_RAW_ENDS = {
    "script": re.compile(r"</script\s*+>", re.IGNORECASE),
    "style": re.compile(r"</style\s*+>", re.IGNORECASE),
    "!--": re.compile(r"-->"),
}
_RAW_KEPT = 256  # of a raw text's end, where the tag that ends it may begin
_TEXT_MAX = 2 * 1024  # characters of a row's text that are kept
_FRAMES = frozenset({"html", "body", "pre", "table", "ul", "ol", "dl"})
_BARE = _FRAMES | {"head", "meta"}  # all that Go's page for an empty folder has
# Attributes that an anchor without a reference may have; with any other it may be a row that was torn.
_OF_ANCHORS = frozenset({
    "name", "id", "class", "style", "title", "role", "tabindex", "rel", "target", "download", "type",
    "hreflang", "accesskey", "lang", "dir", "hidden", "draggable",
})  # fmt: skip
_OF_SCRIPTS = ("on", "data-", "aria-", "v-", "ng-", "x-", "hx-", ":", "@", "#", "*", "(", "[")
_TITLES = (
    "index of", "directory listing", "directory:", "listing directory", "files within", "contents of",
)  # fmt: skip
_TITLE_OF_IIS = re.compile(r"\S++ - /")


@dataclass(slots=True)
class _OpenRow:
    """A row from its anchor to the next one."""

    reference: str | None
    torn: str = ""  # what makes it a bad row
    closed: bool = False  # </a> came
    columns_over: bool = False  # a tag came after </a>
    size_bytes: int | None = None
    modified_ns: int | None = None
    shown: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    kept: int = 0

    def take_text(self, text: str) -> None:
        room = _TEXT_MAX - self.kept
        if self.columns_over or room <= 0:
            return
        self.kept += len(text)
        (self.columns if self.closed else self.shown).append(text[:room])


class HtmlPage:
    """Feed it text; each call yields the rows that are whole by then."""

    def __init__(self) -> None:
        self._text = ""
        self._row: _OpenRow | None = None
        self._raw = ""  # the element whose raw text is being skipped
        self._after_plain = False
        self._counts: Counter[str] = Counter()  # of opened frames, less the closed ones
        self._opened: set[str] = set()
        self._cut = False
        self._heading: list[str] | None = None
        self._title = ""
        self._other = False  # it shows more than Go's page for an empty folder
        self._sorts = False
        self.asks_password = False

    @property
    def whole(self) -> bool | None:
        """Whether the page ended as such pages do; None: it has nothing that has an end."""
        if self._cut or self._raw:
            return False
        if "html" in self._opened:
            return self._counts["html"] <= 0
        if self._opened:
            return all(count <= 0 for count in self._counts.values())
        return None

    @property
    def is_index(self) -> bool:
        """Whether it says that it is an index page, with or without rows."""
        title = " ".join(self._title.split()).lower()
        named = title.startswith(_TITLES) or _TITLE_OF_IIS.match(title) is not None
        return named or self._sorts or ("pre" in self._opened and not self._other)

    def feed(self, text: str, *, last: bool) -> Iterator[Row]:
        """Raises ProtocolViolation for a tag without end."""
        self._text += text
        yield from self._rows(last=last)
        if len(self._text) > ROW_MAX:
            raise ProtocolViolation(f"an index page with a row over {ROW_MAX} characters")
        if last:
            self._cut = self._cut or bool(self._text)
            yield from self._close_row()

    def _rows(self, *, last: bool) -> Iterator[Row]:
        text, at = self._text, 0
        while True:
            if self._raw:
                at = self._skip_raw(text, at)
                if self._raw:
                    break
            start = text.find("<", at)
            if start != at and (said := text[at : start if start >= 0 else len(text)]):
                yield from self._take_text(said)
            if start < 0:
                at = len(text)
                break
            if plain := _NGINX_PLAIN.match(text, start):
                yield from self._close_row()
                self._after_plain = True
                reference, shown, moment, size = plain.groups()
                if shown[-1:] == ";":
                    shown = f"{shown[:-4]}>"
                yield Link(reference, size_bytes=int(size), minute_ns=minute_ns(moment), text=shown)
                at = plain.end()
                continue
            tag = _TAG.match(text, start)
            if tag is not None:
                yield from self._take_tag(tag[1].lower(), tag[2], tag[0])
                at = tag.end()
                continue
            yield from _torn(text, start)
            at = self._skip_markup(text, start)
            if at < 0:
                at = start
                break
        self._text = text[at:]

    def _skip_raw(self, text: str, at: int) -> int:
        end = _RAW_ENDS[self._raw].search(text, at)
        if end is None:
            return max(at, len(text) - _RAW_KEPT)
        self._raw = ""
        return end.end()

    def _skip_markup(self, text: str, start: int) -> int:
        """Where a comment, a declaration or a lone `<` ends; -1 where more must come to tell."""
        following = text[start + 1 : start + 3]
        if following[:1] not in ("!", "?", "/"):
            goes_on = not following or (following[0].isascii() and following[0].isalpha())
            return -1 if goes_on else start + 1
        if "<!--".startswith(text[start : start + 4]):
            if len(text) - start < 4:
                return -1
            self._raw = "!--"
            return start + 4
        end = text.find(">", start)
        return end + 1 if end >= 0 else -1

    def _take_text(self, said: str) -> Iterator[Row]:
        if self._row is not None:
            self._row.take_text(said)
        if self._heading is not None and len(self._heading) < 32:
            self._heading.append(said[:200])
        blank = said.isspace()
        if not blank:
            self._other = True
        if self._after_plain and not blank:
            yield BadIndexRow(said[:_TEXT_MAX].strip(), "text between the rows")

    def _take_tag(self, name: str, attributes: str, raw: str) -> Iterator[Row]:
        self._after_plain = False
        row = self._row
        if row is not None and row.closed:
            row.columns_over = True
        if "<" in raw[1:] and ("<" in _QUOTED.sub("", raw[1:]) or _LINK_WITHIN.search(raw, 1)):
            yield BadIndexRow(raw[:_TEXT_MAX], "a tag that is torn")
        if name == "a":
            yield from self._close_row()
            self._row = self._open_row(attributes)
        elif name == "/a":
            if row is None or row.closed:
                yield BadIndexRow(raw, "the end of a link that has no beginning")
            else:
                row.closed = True
        else:
            self._take_other(name, attributes)

    def _take_other(self, name: str, attributes: str) -> None:
        bare = name.removeprefix("/")
        if bare not in _BARE:
            self._other = True
        if bare in _FRAMES:
            self._opened.add(bare)
            self._counts[bare] += -1 if name != bare else 1
        elif name in ("script", "style"):
            self._raw = name
        elif bare in ("title", "h1"):
            if name == bare and not self._title:
                self._heading = []
            elif self._heading is not None:
                self._title, self._heading = "".join(self._heading), None
        elif name == "input" and _of(attributes).get("type", "").lower() == "password":
            self.asks_password = True
        self._take_facts(name, attributes)

    def _take_facts(self, name: str, attributes: str) -> None:
        """What Caddy says of a file in its row."""
        row = self._row
        if row is None or not ("data" in attributes or name == "time"):
            return
        said = _of(attributes)
        if name == "time" and row.modified_ns is None:
            row.modified_ns = iso_ns(said.get("datetime", ""))
        digits = said.get("data-size") or said.get("data-order") or ""
        if digits.isascii() and digits.isdigit() and row.size_bytes is None:
            try:
                row.size_bytes = parse_file_size(digits)
            except NotUnderstood as exc:
                row.torn = str(exc)

    def _open_row(self, attributes: str) -> _OpenRow:
        self._other = True
        said = _of(attributes)
        reference = said.get("href")
        if not reference and not all(name == "href" or _known(name) for name in said):
            return _OpenRow(reference, "a link without a reference")
        if reference is None:
            return _OpenRow(None)
        if SORTING.match(reference):
            self._sorts = True
        if "<" in reference or "\n" in reference or "\r" in reference:
            return _OpenRow(reference, "a reference that is torn")
        return _OpenRow(reference)

    def _close_row(self) -> Iterator[Row]:
        row, self._row = self._row, None
        if row is None:
            return
        shown, columns = "".join(row.shown), "".join(row.columns)
        if row.torn:
            yield BadIndexRow((row.reference or shown)[:_TEXT_MAX], row.torn)
            return
        if not row.reference and ">" in shown:
            yield BadIndexRow(shown, "a link without a reference")
        if row.reference is None:
            return
        end = columns.find("\n", len(columns) - len(columns.lstrip()))
        first, left = (columns, "") if end < 0 else (columns[:end], columns[end:])
        if _CLOCK.search(left):
            yield BadIndexRow(left.strip(), "text between the rows")
        try:
            yield _link(row, unescape_references(row.reference), unescape_references(shown), first)
        except NotUnderstood as exc:
            yield BadIndexRow(row.reference[:_TEXT_MAX], str(exc))


def _torn(text: str, start: int) -> Iterator[BadIndexRow]:
    """A `<` at the end of a line is all that is left of a row."""
    if text.startswith(("<\n", "<\r"), start):
        yield BadIndexRow("<", "a tag that is torn")


def _link(row: _OpenRow, reference: str, shown: str, columns: str) -> Link:
    found = _NGINX_COLUMNS.fullmatch(columns)
    if found is not None:
        size = parse_file_size(found[2])
        return Link(reference, size_bytes=size, minute_ns=minute_ns(found[1]), text=shown)
    return Link(reference, size_bytes=row.size_bytes, modified_ns=row.modified_ns, text=shown)


def _of(attributes: str) -> dict[str, str]:
    """The first of each name counts, as in HTML."""
    said: dict[str, str] = {}
    for found in _ATTRIBUTE.finditer(attributes):
        said.setdefault(found[1].lower(), found[2] or found[3] or found[4] or "")
    return said


def _known(attribute: str) -> bool:
    return attribute in _OF_ANCHORS or attribute.startswith(_OF_SCRIPTS)

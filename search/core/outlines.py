"""Where the blocks of a text begin, and which of them are headings, for each way of writing."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

# A block begins at (1), its heading's level, from 1, or 0 where it has none (2), the title (3), and how many characters
# of the block are nothing but the heading (4). A plain tuple: there is one for every few words of a file.
Mark = tuple[int, int, str, int]

_TITLE_MAX = 80
_WORD = re.compile(r"\w")
_README = re.compile(
    r"(?i)(?:.*/)?(?:readme|changelog|changes|contributing|install|news|todo|history)"
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PARAGRAPH = re.compile(r"\n(?P<blank>(?:[ \t]*\n)+)")
_SIGN = r"""[=\-~^"'*+#`:._]"""


def _compile(head: str) -> re.Pattern[str]:
    """A heading at the beginning of a line, blank lines, or both. That each match begins with a line feed makes the
    search many times as fast as one for beginnings of lines."""
    return re.compile(rf"\n(?P<blank>(?:[ \t]*\n)+)?(?:(?P<head>{head})|(?(blank)|(?!)))")


_MARKDOWN = _compile(
    r"(?P<marks>\#{1,6})[ \t]+(?P<title>[^\n]*)|[ ]{0,3}(?P<fence>```|~~~)"
    r"|(?P<above>[^\s#>`~=|-][^\n]{0,200})\n(?P<under>[=-])(?P=under){2,}[ \t]*(?![^\n])"
)
_RST = _compile(
    rf"(?:(?P<over>{_SIGN})(?P=over){{2,}}[ \t]*\n)?"
    rf"(?P<above>[^\n]+)\n(?P<under>{_SIGN})(?P=under){{2,}}[ \t]*(?![^\n])"
)
_CODE = _compile(
    r"(?P<indent>[ \t]{0,32}+)(?:@[^\n]*\n[ \t]*+){0,5}+(?P<title>"
    r"(?:(?:export|default|public|private|protected|internal|static|abstract|final|pub|async|data|sealed)[ \t]++){0,4}+"
    r"(?:def|class|func|fn|fun|function|interface|struct|enum|impl|trait|module|namespace|object|record)"
    r"[ \t]+(?:\([^()\n]{0,80}\)[ \t]*)?[\w.$]+"
    r"|(?i:create|alter)[ \t]+(?i:(?:or|replace|unique|temporary|temp|table|view|index|function|trigger|type|procedure"
    r"|policy|schema|extension|if|not|exists|concurrently)[ \t]+){1,7}[\w.\"$]+)"
)
_SECTION = _compile(r"\[{1,2}(?P<title>[^\[\]\n]+)\]")


class Outline(Protocol):
    """Finds the blocks of one text, window after window. A chunk of `heads_from` characters ends before a heading."""

    heads_from: int

    def split(self, window: str) -> Iterator[Mark]: ...


class _Plain:
    """Paragraphs without headings."""

    heads_from = 1

    def split(self, window: str) -> Iterator[Mark]:
        return ((found.end(), 0, "", 0) for found in _PARAGRAPH.finditer(window))


class _Lines:
    """Rows: each line is a block."""

    heads_from = 1

    def split(self, window: str) -> Iterator[Mark]:
        return ((found.end(), 0, "", 0) for found in _LINE.finditer(window))


class _Headed(ABC):
    """Paragraphs under headings."""

    heads_from = 1
    pattern: re.Pattern[str]

    def split(self, window: str) -> Iterator[Mark]:
        for found in self.pattern.finditer("\n" + window):
            if found["head"] is None:
                yield found.end() - 1, 0, "", 0
                continue
            begin, end = found.span("head")
            level, title = self.read(found)
            title = " ".join(title.split())
            if len(title) > _TITLE_MAX:
                title = title[: _TITLE_MAX - 1] + "…"
            yield begin - 1, level, title, self.bare(end - begin) if level else 0

    def bare(self, length: int) -> int:
        """How much of a match of this length is nothing but the heading."""
        return length

    @abstractmethod
    def read(self, found: re.Match[str]) -> tuple[int, str]:
        """The level of what looks like a heading, and its title; level 0: it is none."""


class _Markdown(_Headed):
    pattern = _MARKDOWN

    def __init__(self) -> None:
        self._fence = ""

    def read(self, found: re.Match[str]) -> tuple[int, str]:
        if fence := found["fence"]:
            if self._fence in ("", fence):
                self._fence = "" if self._fence else fence
            return 0, ""
        if self._fence:
            return 0, ""
        if found["marks"]:
            return len(found["marks"]), found["title"].rstrip(" \t#")
        level = 1 if found["under"] == "=" else 2
        return level if _stands_alone(found) else 0, found["above"]


class _Rst(_Headed):
    """The order in which the signs of underlines appear makes their levels."""

    pattern = _RST

    def __init__(self) -> None:
        self._levels: dict[tuple[bool, str], int] = {}

    def read(self, found: re.Match[str]) -> tuple[int, str]:
        if not _stands_alone(found) or not _WORD.search(found["above"]):
            return 0, ""
        sign = (found["over"] is not None, found["under"])
        return self._levels.setdefault(sign, len(self._levels) + 1), found["above"]


class _Code(_Headed):
    """A small definition stands with its neighbours in a chunk: its name is part of the text."""

    heads_from = 300
    pattern = _CODE

    def bare(self, length: int) -> int:
        return 0

    def read(self, found: re.Match[str]) -> tuple[int, str]:
        return 1 + len(found["indent"].expandtabs(4)), found["title"]


class _Sections(_Headed):
    pattern = _SECTION

    def read(self, found: re.Match[str]) -> tuple[int, str]:
        return 1, found["title"]


def _stands_alone(found: re.Match[str]) -> bool:
    """Whether nothing but a blank line is above it. Else it may be the end of a table, or of what a document says of
    itself at its top."""
    return found["blank"] is not None or found.start() == 0


_LINE_KINDS = ".csv .tsv .json .jsonl .ndjson .geojson .xml .svg .log .ipynb"
_SECTION_KINDS = ".toml .ini .cfg .conf"
_CODE_KINDS = (
    ".py .pyi .js .mjs .cjs .jsx .ts .tsx .vue .svelte .c .h .cc .cpp .cxx .hpp .cs .java .kt .kts .scala .groovy"
    " .go .rs .rb .php .swift .m .mm .dart .lua .pl .pm .r .jl .ex .exs .erl .hs .ml .clj .el .lisp .sql .sh .bash .zsh"
    " .fish .ps1 .bat .cmd .vb .pas .f90 .asm .s .zig .nim .tf .proto .graphql .css .scss .less .cmake .mk .gradle"
)
_PLAIN_KINDS = (
    ".txt .text .yaml .yml .properties .env .tex .bib .adoc .asciidoc .org .textile .po .pot .srt .vtt .diff .patch"
    " .ics .vcf .sgml .dtd .xsd .xsl .xslt .wsdl .plist .rtf"
)
_MAKERS: dict[str, Callable[[], Outline]] = {
    ".md": _Markdown,
    ".rst": _Rst,
    **dict.fromkeys(_LINE_KINDS.split(), _Lines),
    **dict.fromkeys(_SECTION_KINDS.split(), _Sections),
    **dict.fromkeys(_CODE_KINDS.split(), _Code),
    **dict.fromkeys(_PLAIN_KINDS.split(), _Plain),
}
TEXT_KINDS = frozenset(_MAKERS)


def choose_outline(kind: str, name: str) -> Outline:
    """`kind` is a suffix. `name` is a path: a README without suffix is written like one with it."""
    if kind == ".txt" and _README.fullmatch(name):
        return _Markdown()
    return _MAKERS.get(kind, _Plain)()

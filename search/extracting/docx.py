"""Text of Word documents."""

from __future__ import annotations

import re

from search.extracting.parts import Attributes, PartHandler, Parts, find_attribute
from search.extracting.telling import Document, Teller

_BODY = "word/document.xml"
_STYLES = "word/styles.xml"
_NOTES = re.compile(r"word/(?:footnotes|endnotes|comments)\.xml")
_HEADING = re.compile(r"(?i)heading ?([1-9])|title()")


def read_docx(document: Document, teller: Teller) -> None:
    parts = Parts(document)
    parts.require(_BODY)
    styles = _Styles()
    if parts.has(_STYLES):
        parts.walk(_STYLES, styles)
    parts.walk(_BODY, _Paragraphs(teller, "body", styles.levels))
    for name in sorted(filter(_NOTES.fullmatch, parts.names)):
        teller.add_heading("", "", 1)
        parts.walk(name, _Paragraphs(teller, "", {}))


class _Styles(PartHandler):
    """The levels of headings. The id of a style is a word of the writer's language; its name is English."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._id = ""

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "style":
            self._id = find_attribute(attributes, "styleId")
        elif name == "name" and (found := _HEADING.fullmatch(find_attribute(attributes, "val"))):
            self.levels[self._id] = int(found[1] or 1)
        elif name == "outlineLvl" and self._id:
            level = find_attribute(attributes, "val")
            if level in "012345678" and level:
                self.levels.setdefault(self._id, int(level) + 1)


class _Paragraphs(PartHandler):
    def __init__(self, teller: Teller, place: str, levels: dict[str, int]) -> None:
        self._teller = teller
        self._place = place
        self._levels = levels
        self._words: list[str] = []
        self._level = 0
        self._cells = 0  # how many cells of tables are open
        self._is_text = False
        self._unread = 0  # open elements that repeat what stands elsewhere

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback":
            self._unread += 1
        if self._unread:
            return
        if name == "t":
            self._is_text = True
        elif name in ("tab", "br", "cr"):
            self._words.append("\t" if name == "tab" else "\n")
        elif name == "pStyle":
            self._level = self._find_level(find_attribute(attributes, "val"))
        elif name == "tc":
            self._cells += 1

    def _find_level(self, style: str) -> int:
        if style in self._levels:
            return self._levels[style]
        found = _HEADING.fullmatch(style)
        return int(found[1] or 1) if found else 0

    def end(self, name: str) -> None:
        if name == "Fallback":
            self._unread -= 1
        elif self._unread:
            return
        elif name == "t":
            self._is_text = False
        elif name == "p":
            self._end_paragraph()
        elif name == "tc":
            self._cells -= 1
            self._teller.add(" | ", self._place)
        elif name == "tr" or name == "tbl":
            self._teller.add("\n", self._place)

    def text(self, text: str) -> None:
        if self._is_text and not self._unread:
            self._words.append(text)

    def _end_paragraph(self) -> None:
        text = "".join(self._words).strip()
        level, self._level, self._words = self._level, 0, []
        if not text:
            return
        if self._cells:
            self._teller.add(f"{text} ", self._place)
        elif level:
            self._teller.add_heading(" ".join(text.split()), self._place, level)
        else:
            self._teller.add(f"{text}\n\n", self._place)

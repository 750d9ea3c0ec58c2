"""Text of OpenDocument files: texts, sheets and presentations."""

from __future__ import annotations

from search.extracting.parts import Attributes, PartHandler, Parts, find_attribute
from search.extracting.telling import Document, Teller

_CONTENT = "content.xml"
_SPACES_MAX = 100
_REPEATED_MAX = 1_000_000


def read_opendocument(document: Document, teller: Teller) -> None:
    parts = Parts(document)
    parts.require(_CONTENT)
    if document.kind == ".ods":
        parts.walk(_CONTENT, _Sheets(teller))
    else:
        parts.walk(_CONTENT, _Texts(teller))


class _Words(PartHandler):
    """Collects the text of paragraphs."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._words: list[str] = []
        self._open = 0  # paragraphs and headings

    def start(self, name: str, attributes: Attributes) -> None:
        if name in ("p", "h"):
            self._open += 1
        elif name in ("tab", "line-break"):
            self._words.append("\t" if name == "tab" else "\n")
        elif name == "s":
            count = find_attribute(attributes, "c")
            self._words.append(" " * (min(int(count), _SPACES_MAX) if count.isdecimal() else 1))

    def text(self, text: str) -> None:
        if self._open:
            self._words.append(text)

    def _take(self) -> str:
        text = "".join(self._words).strip()
        self._words = []
        return text


class _Texts(_Words):
    """Of a presentation too: a page of it is a slide."""

    def __init__(self, teller: Teller) -> None:
        super().__init__(teller)
        self._place = "body"
        self._slides = 0
        self._level = 1

    def start(self, name: str, attributes: Attributes) -> None:
        super().start(name, attributes)
        if name == "h":
            level = find_attribute(attributes, "outline-level")
            self._level = int(level) if level in "123456789" and level else 1
        elif name == "page":
            self._slides += 1
            self._place = f"slide {self._slides}"

    def end(self, name: str) -> None:
        if name not in ("p", "h"):
            return
        self._open -= 1
        text = self._take()
        if text and name == "h":
            self._teller.add_heading(" ".join(text.split()), self._place, self._level)
        elif text:
            self._teller.add(f"{text}\n\n", self._place)


class _Sheets(_Words):
    def __init__(self, teller: Teller) -> None:
        super().__init__(teller)
        self._title = ""
        self._row = 1
        self._repeated = 1
        self._cells: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        super().start(name, attributes)
        if name == "table":
            self._title = " ".join(find_attribute(attributes, "name").split())
            self._row = 1
        elif name == "table-row":
            times = find_attribute(attributes, "number-rows-repeated")
            self._repeated = int(times) if times.isdecimal() and len(times) < 8 else 1

    def end(self, name: str) -> None:
        if name in ("p", "h"):
            self._open -= 1
            self._words.append(" ")
        elif name in ("table-cell", "covered-table-cell"):
            if text := " ".join(self._take().split()):
                self._cells.append(text)
        elif name == "table-row":
            if self._cells:
                row = " | ".join(self._cells)
                self._teller.add(f"{row}\n", f"sheet {self._title} row {self._row}")
                self._cells = []
            self._row += min(self._repeated, _REPEATED_MAX)

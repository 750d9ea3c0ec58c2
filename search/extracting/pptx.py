"""Text of PowerPoint presentations, slide by slide, with the speaker's notes."""

from __future__ import annotations

import re

from search.extracting.parts import Attributes, PartHandler, Parts, find_attribute
from search.extracting.telling import Document, Teller

_PRESENTATION = "ppt/presentation.xml"
_SLIDE = re.compile(r"ppt/slides/slide([0-9]+)\.xml")


def read_pptx(document: Document, teller: Teller) -> None:
    parts = Parts(document)
    slides = _find_slides(parts)
    if not slides:
        parts.require("ppt/slides/slide1.xml")
    for number, name in enumerate(slides, 1):
        place = f"slide {number}"
        teller.add_heading("", place, 1)
        parts.walk(name, _Slide(teller, place))
        for kind, target in parts.find_targets(name).values():
            if kind == "notesSlide" and parts.has(target):
                parts.walk(target, _Slide(teller, place, has_title=False))


def _find_slides(parts: Parts) -> list[str]:
    """In the order of the presentation, else by the numbers of the parts."""
    if parts.has(_PRESENTATION):
        order = _Order()
        parts.walk(_PRESENTATION, order)
        targets = parts.find_targets(_PRESENTATION)
        found = [targets[one][1] for one in order.ids if one in targets]
        if found and all(map(parts.has, found)):
            return found
    numbered = [(int(match[1]), name) for name in parts.names if (match := _SLIDE.fullmatch(name))]
    return [name for _, name in sorted(numbered)]


class _Order(PartHandler):
    def __init__(self) -> None:
        self.ids: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "sldId":
            self.ids.append(attributes.get("r:id") or _find_related(attributes))


def _find_related(attributes: Attributes) -> str:
    """The id with a prefix: the one without is a number."""
    return next((value for key, value in attributes.items() if key.endswith(":id")), "")


class _Slide(PartHandler):
    def __init__(self, teller: Teller, place: str, *, has_title: bool = True) -> None:
        self._teller = teller
        self._place = place
        self._has_title = has_title
        self._words: list[str] = []
        self._is_text = False
        self._is_title = False
        self._unread = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback":
            self._unread += 1
        elif name == "t":
            self._is_text = True
        elif name in ("br", "tab"):
            self._words.append("\n" if name == "br" else "\t")
        elif name == "sp":
            self._is_title = False
        elif name == "ph":
            kind = find_attribute(attributes, "type")
            self._is_title = self._has_title and kind in ("title", "ctrTitle")
            if kind in ("sldNum", "dt", "ftr"):  # they say nothing of the slide
                self._unread += 1

    def end(self, name: str) -> None:
        if name == "Fallback":
            self._unread -= 1
        elif name == "sp":
            self._unread = 0
            self._is_title = False
        elif name == "t":
            self._is_text = False
        elif name == "p":
            self._end_paragraph()

    def text(self, text: str) -> None:
        if self._is_text and not self._unread:
            self._words.append(text)

    def _end_paragraph(self) -> None:
        text = "".join(self._words).strip()
        self._words = []
        if text and self._is_title:
            self._teller.add_heading(" ".join(text.split()), self._place, 1)
        elif text:
            self._teller.add(f"{text}\n", self._place)

"""Catalogs of THREDDS data servers, read row by row as they arrive. Pure.

A catalog names datasets, whose files a service of type HTTPServer gives below another address than the
catalog's own, and further catalogs, which stand for the folders below (InvCatalog 1.0:
https://docs.unidata.ucar.edu/tds/current/userguide/server_side_catalog_specification.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from farends.errors import ProtocolViolation
from farends.http.index_rows import (
    ROW_MAX,
    BadIndexRow,
    Link,
    NotUnderstood,
    Row,
    as_bytes,
    unescape_references,
)
from farends.web.url import quote_path

CATALOG_PAGE = "catalog.xml"
CATALOG_PAGES = (CATALOG_PAGE, "catalog.html")
THREDDS_ROOT = "catalog"
_ATTRIBUTE = r"[\w:.-]++\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')"
_TAG = re.compile(rf"<([A-Za-z][\w:.-]*+)((?:\s++{_ATTRIBUTE})*+)\s*+(/?)>")
_VALUE = re.compile(r"([\w:.-]++)\s*+=\s*+(?:\"([^\"<]*+)\"|'([^'<]*+)')")
_CLOSE = re.compile(r"</([A-Za-z][\w:.-]*+)\s*+>")
_COMMENT = re.compile(r"<!--(?:[^-]++|-(?!->))*+-->")
# In the text between tags these are what is left of a tag that was torn.
_TORN = ('="', "='", "/>", "urlPath", "catalogRef")


class _Dataset:
    """An open element `dataset`: a file where it has a path, else a folder or a heading."""

    __slots__ = ("leads_somewhere", "name")

    def __init__(self, name: str, *, leads_somewhere: bool) -> None:
        self.name = name
        self.leads_somewhere = leads_somewhere


class ThreddsPage:
    """Feed it text from behind the start tag of `catalog`; each call yields the rows that are whole by then."""

    is_index = True

    def __init__(self) -> None:
        self._text = ""
        self._ended = False
        self._files_base: str | None = None
        self._open: list[_Dataset] = []

    @property
    def whole(self) -> bool:
        return self._ended and not self._open

    def feed(self, text: str, *, last: bool) -> Iterator[Row]:
        """Raises ProtocolViolation for a tag that has no end."""
        self._text += text
        at = 0
        while not self._ended:
            start = self._text.find("<", at)
            between = self._text[at : start if start >= 0 else len(self._text)]
            if start < 0 and not last:
                break
            if any(sign in between for sign in _TORN):
                yield BadIndexRow(between.strip()[:400], "text that was a tag")
            if start < 0:
                at = len(self._text)
                break
            end = self._end_of(start, last=last)
            if end is None:
                at = start
                break
            at = end
            yield from self._take(self._text[start:end])
        self._text = "" if self._ended else self._text[at:]
        if len(self._text) > ROW_MAX:
            raise ProtocolViolation(f"a catalog with an element over {ROW_MAX} characters")

    def _end_of(self, start: int, *, last: bool) -> int | None:
        """Where the tag ends that begins there, or what is left of one; None where more must come."""
        text = self._text
        for form in (_TAG, _CLOSE, _COMMENT):
            if found := form.match(text, start):
                return found.end()
        after = text.find("<", start + 1)
        if after < 0 or text.startswith("<!--", start):
            return len(text) if last else None
        return after

    def _take(self, element: str) -> Iterator[Row]:
        if tag := _TAG.fullmatch(element):
            try:
                yield from self._take_tag(tag[1], _values(tag[2]), closed=bool(tag[3]))
            except NotUnderstood as exc:
                yield BadIndexRow(element[:400], str(exc))
        elif close := _CLOSE.fullmatch(element):
            if close[1] == THREDDS_ROOT:
                self._ended = True
            elif close[1] == "dataset":
                yield from self._close_dataset(element)
        elif not _COMMENT.fullmatch(element):
            yield BadIndexRow(element[:400], "a tag that is not understood")

    def _take_tag(self, name: str, values: dict[str, str], *, closed: bool) -> Iterator[Row]:
        if name == "service" and values.get("serviceType", "").lower() == "httpserver":
            self._files_base = self._files_base or values.get("base")
        elif name == "catalogRef":
            self._note_row()
            yield _folder(values)
        elif name == "dataset":
            yield from self._take_dataset(values, closed=closed)
        elif name == "access":
            raise NotUnderstood("a dataset with several ways of access")

    def _take_dataset(self, values: dict[str, str], *, closed: bool) -> Iterator[Row]:
        path, name = values.get("urlPath"), values.get("name", "")
        if closed and path is None:
            raise NotUnderstood("a dataset without a path")
        if not closed:
            heading = not self._open  # a catalog of no files has one dataset with nothing in it
            self._open.append(_Dataset(name, leads_somewhere=path is not None or heading))
        if path is None:
            return
        self._note_row()
        if self._files_base is None:
            raise NotUnderstood("a file of a catalog without a service of type HTTPServer")
        as_bytes(path)
        yield Link(reference=self._files_base + quote_path(path), folder=False, text=name)

    def _note_row(self) -> None:
        for dataset in self._open:
            dataset.leads_somewhere = True

    def _close_dataset(self, element: str) -> Iterator[Row]:
        if not self._open:
            yield BadIndexRow(element, "an end without a beginning")
            return
        dataset = self._open.pop()
        if not dataset.leads_somewhere:
            yield BadIndexRow(dataset.name, "a dataset without a path")


def _folder(values: dict[str, str]) -> Link:
    reference = values.get("xlink:href", "")
    page = next((page for page in CATALOG_PAGES if reference.endswith(f"/{page}")), None)
    if page is None:
        raise NotUnderstood("a catalog of another name than catalog.xml")
    title = values.get("xlink:title") or values.get("name", "")
    return Link(reference=reference.removesuffix(page), folder=True, text=title)


def _values(attributes: str) -> dict[str, str]:
    """Raises NotUnderstood."""
    return {
        found[1]: unescape_references(found[2] or found[3] or "")
        for found in _VALUE.finditer(attributes)
    }

"""Slices in flight: while the pages of one are used, those of the next are on their way.

One thread does it all: each time that it takes a page, it also takes what has been answered of the other slices, and asks
for what follows there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from farends.rest.api import Api
from farends.rest.pages import Page, Pages
from farends.rest.paging import FIRST, Place
from farends.rest.resource import Resource
from farends.rest.slicing import Slices

KEPT_BYTES_MAX = 2 << 20  # of pages that wait for their turn, as they came


class PagesOfSlice:
    """Iterates over the pages of one slice, of which some were taken already."""

    def __init__(self, pages: Pages, ahead: SlicesAhead) -> None:
        self.of = pages
        self.kept: deque[Page] = deque()
        self.kept_bytes = 0
        self._ahead = ahead

    def __iter__(self) -> Iterator[Page]:
        while self.kept or self.of.is_asked:
            page = self._next()
            self._ahead.move()
            yield page

    def _next(self) -> Page:
        if not self.kept:
            return self.of.take()
        page = self.kept.popleft()
        self.kept_bytes -= len(page.reply.body)
        return page

    def take_answered(self) -> None:
        """Takes a page before its turn, if it is there. Pages that are counted are asked for many at once, so there it is
        the first alone that is asked for early."""
        if not self.of.is_counted and self.of.is_answered:
            page = self.of.take()
            self.kept.append(page)
            self.kept_bytes += len(page.reply.body)


class SlicesAhead:
    """Those that are read, the nearest first: as many as requests may be on their way together."""

    def __init__(self, api: Api, resource: Resource, slices: Slices, start: Place) -> None:
        self._api = api
        self._resource = resource
        self._slices = slices
        self._first, self._place = slices.start(start)
        self._numbers = deque(slices.from_on(self._first))
        self._open: deque[tuple[int, PagesOfSlice]] = deque()

    def __iter__(self) -> Iterator[tuple[int, PagesOfSlice]]:
        while self._numbers or self._open:
            self._begin_next()
            yield self._open[0]
            self._open.popleft()

    def move(self) -> None:
        """Call it for each page that is used."""
        self._begin_next()
        for _, pages in list(self._open)[1:]:
            if sum(one.kept_bytes for _, one in self._open) < KEPT_BYTES_MAX:
                pages.take_answered()

    def _begin_next(self) -> None:
        while self._numbers and (not self._open or self._may_begin(self._numbers[0])):
            number = self._numbers.popleft()
            pages = Pages(self._api, self._resource, self._slices.params(number))
            pages.begin(self._place if number == self._first else FIRST)
            self._open.append((number, PagesOfSlice(pages, self)))

    def _may_begin(self, number: int) -> bool:
        return len(self._open) < self._api.at_once and not self._slices.is_open(number)


def read_slices(
    api: Api, resource: Resource, slices: Slices, start: Place
) -> Iterator[tuple[int, PagesOfSlice]]:
    """Each slice from there on, with its number. The pages of one must be used before the next slice is asked for."""
    return iter(SlicesAhead(api, resource, slices, start))

"""Which page follows: five ways that APIs have, and the guards that keep a reading from going in circles. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from farends.errors import ProtocolViolation
from farends.rest.resource import Following, Resource
from farends.rows.json_text import JsonText, parse_path, show_cell
from farends.web.url import Url, resolve
from farends.wire.far_text import show

Place = Mapping[str, Any]  # of a page, as JSON: what is kept to go on from there
FIRST: Place = {}
_LINK = re.compile(r"\s*+<([^>]*+)>((?:[^,\"]++|\"[^\"]*+\")*+)(?:,|\Z)")
_REL = re.compile(r";\s*+rel\s*+=\s*+(?:\"([^\"]*+)\"|([^\s;,\"]++))", re.IGNORECASE)
_COUNT = re.compile(r"[0-9]{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class PageSeen:
    """What tells of the next page. `count` is how many records this one has."""

    place: Place
    url: Url
    link: str
    text: JsonText
    count: int


class Pager(Protocol):
    """`count_of` is what the API says there is of all, pages or records, None where it does not say."""

    def params(self, place: Place) -> list[tuple[str, str]]: ...

    def follow(self, page: PageSeen) -> Place | None:
        """None: this was the last. Raises ProtocolViolation where following would not end."""
        ...

    def ahead(self, page: PageSeen) -> Iterator[Place]:
        """Those after the first page that are known by it alone."""
        ...

    def count_of(self, page: PageSeen) -> int | None: ...


def make_pager(resource: Resource) -> Pager:
    if resource.following is None:
        return OnePage()
    made: Pager = _PAGERS[resource.following.kind](resource.following, resource.page_size)
    return made


class OnePage:
    """There is one page."""

    def params(self, place: Place) -> list[tuple[str, str]]:
        return []

    def follow(self, page: PageSeen) -> Place | None:
        return None

    def ahead(self, page: PageSeen) -> Iterator[Place]:
        return iter(())

    def count_of(self, page: PageSeen) -> int | None:
        return None


class _Followed(OnePage):
    """Where only a page tells the next. Every token is kept, as a hash: one that comes again would lead in circles."""

    def __init__(self, following: Following, size: int) -> None:
        self._following = following
        self._seen: set[int] = set()

    def _keep(self, token: str) -> str:
        self._seen.add(hash(token))
        return token

    def _is_new(self, token: str) -> str:
        if hash(token) in self._seen:
            raise ProtocolViolation(
                "the API leads to a page that was read already: following would not end"
            )
        return token


class CursorPager(_Followed):
    """A token of the body goes into a parameter."""

    def params(self, place: Place) -> list[tuple[str, str]]:
        return [(self._following.param, self._keep(place["token"]))] if "token" in place else []

    def follow(self, page: PageSeen) -> Place | None:
        told = self._following
        more = _tells_more(page, told.more) if told.more else None
        if more is False:
            return None
        token = _find_token(page, told.at)
        if more and (not page.count or token is None):
            lack = "the page is empty" if not page.count else f"nothing is at {told.at}"
            raise ProtocolViolation(f"{told.more} says that there is more, but {lack}")
        if token is None or not page.count:
            return None
        return {"token": self._is_new(token)}


class UrlPager(_Followed):
    """The body holds the next URL, or the header field Link does."""

    def follow(self, page: PageSeen) -> Place | None:
        reference = self._find(page)
        if reference is None or not page.count:
            return None
        url = resolve(page.url, reference)
        if url.origin != page.url.origin:
            place = f"{url.origin.scheme}://{url.origin.authority}"
            raise ProtocolViolation(
                f"the next page is at {place}, and the log-in is for {page.url.origin.scheme}://"
                f"{page.url.origin.authority} alone: it was not followed"
            )
        self._keep(page.url.target)
        return {"url": self._is_new(url.target)}

    def _find(self, page: PageSeen) -> str | None:
        return _find_token(page, self._following.at)


class LinkPager(UrlPager):
    def _find(self, page: PageSeen) -> str | None:
        return find_link(page.link, self._following.at)


class PagePager(OnePage):
    """Pages have numbers."""

    def __init__(self, following: Following, size: int) -> None:
        self._following = following

    def params(self, place: Place) -> list[tuple[str, str]]:
        return [(self._following.at, str(self._number(place)))]

    def _number(self, place: Place) -> int:
        return int(place.get("page", self._following.start))

    def follow(self, page: PageSeen) -> Place | None:
        last = self._find_last(page)
        number = self._number(page.place)
        if not page.count or (last is not None and number >= last):
            return None
        return {"page": number + 1}

    def ahead(self, page: PageSeen) -> Iterator[Place]:
        last = self._find_last(page)
        if last is not None and page.count:
            for number in range(self._number(page.place) + 1, last + 1):
                yield {"page": number}

    def _find_last(self, page: PageSeen) -> int | None:
        pages = self.count_of(page)
        return None if pages is None else self._following.start + pages - 1

    def count_of(self, page: PageSeen) -> int | None:
        return _find_count(page, self._following.pages)


class OffsetPager(OnePage):
    """Records are counted."""

    def __init__(self, following: Following, size: int) -> None:
        self._following = following
        self._size = size

    def params(self, place: Place) -> list[tuple[str, str]]:
        return [(self._following.at, str(self._offset(place)))]

    def _offset(self, place: Place) -> int:
        return int(place.get("offset", 0))

    def follow(self, page: PageSeen) -> Place | None:
        """By what came, and not by what was asked for: some APIs give fewer."""
        behind = self._offset(page.place) + page.count
        total = self.count_of(page)
        if not page.count or (total is not None and behind >= total):
            return None
        return {"offset": behind}

    def ahead(self, page: PageSeen) -> Iterator[Place]:
        total = self.count_of(page)
        if total is not None and page.count and page.count == (self._size or page.count):
            for offset in range(self._offset(page.place) + page.count, total, page.count):
                yield {"offset": offset}

    def count_of(self, page: PageSeen) -> int | None:
        return _find_count(page, self._following.total)


_PAGERS: Mapping[str, Any] = {
    "cursor": CursorPager,
    "url": UrlPager,
    "link": LinkPager,
    "page": PagePager,
    "offset": OffsetPager,
}


def find_link(field: str, rel: str) -> str | None:
    """The target of a relation in the header field Link (RFC 8288 §3)."""
    at = 0
    while (found := _LINK.match(field, at)) is not None:
        rels = [(one[1] or one[2] or "").lower().split() for one in _REL.finditer(found[2])]
        if any(rel.lower() in words for words in rels):
            return found[1]
        at = found.end()
    return None


def _find_token(page: PageSeen, path: str) -> str | None:
    token = show_cell(page.text.find(parse_path(path)))
    return None if token in ("", "false") else token


def _tells_more(page: PageSeen, path: str) -> bool | None:
    told = show_cell(page.text.find(parse_path(path)))
    return None if told is None else told.lower() not in ("false", "0", "")


def _find_count(page: PageSeen, path: str) -> int | None:
    if not path:
        return None
    told = show_cell(page.text.find(parse_path(path)))
    if told is None:
        return None
    if not _COUNT.fullmatch(told):
        raise ProtocolViolation(f"{path} holds no count: {show(told, 40)!r}")
    return int(told)

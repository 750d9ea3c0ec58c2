"""The pages of a resource in their order; where it can be known, the next ones are on their way already."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from farends.errors import ProtocolViolation, Truncated
from farends.rest.api import Api, ApiReply, find_message
from farends.rest.paging import PageSeen, Place, make_pager
from farends.rest.resource import Resource, write_query
from farends.rows.json_text import JsonText, NotJson, NotThere, Objects
from farends.wire.far_text import show

_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Page:
    """`following` is where to go on behind it; None: it is the last."""

    text: JsonText
    objects: Objects
    following: Place | None
    reply: ApiReply


class Pages:
    """Of one reading. `params` go with each request. `drifted`: what was counted has changed while it was read."""

    def __init__(self, api: Api, resource: Resource, params: list[tuple[str, str]]) -> None:
        self.drifted = False
        self._api = api
        self._resource = resource
        self._params = [*resource.list_params(), *params]
        self._pager = make_pager(resource)
        self._count: int | None = None
        self._asked: deque[tuple[Place, str, Future[ApiReply]]] = deque()
        self._ahead: Iterator[Place] | None = None

    @property
    def is_counted(self) -> bool:
        """Whether pages are asked for by number, so that a row that goes away moves all that are behind it."""
        told = self._resource.following
        return told is not None and told.kind in ("page", "offset")

    def first(self, place: Place) -> Page:
        """One page, and no other is asked for."""
        target = self._target(place)
        return self._open(place, self._api.take(self._api.ask(target), target))

    def read(self, start: Place) -> Iterator[Page]:
        """From there to the end. Raises TransportError's children."""
        self.begin(start)
        while self.is_asked:
            yield self.take()

    def begin(self, start: Place) -> None:
        """Asks for the page there, and does not wait."""
        self._ask(start)

    @property
    def is_asked(self) -> bool:
        """Whether there is a further page."""
        return bool(self._asked)

    @property
    def is_answered(self) -> bool:
        """Whether `take` would return at once, with a page."""
        if not self._asked or not self._asked[0][2].done():
            return False
        return self._asked[0][2].exception() is None

    def take(self) -> Page:
        """The next page; what follows it is asked for. Raises TransportError's children."""
        place, target, future = self._asked.popleft()
        page = self._open(place, self._api.take(future, target))
        if self._ahead is None:
            self._ahead = self._pager.ahead(self._seen(place, page))
        while (
            len(self._asked) < self._api.at_once and (known := next(self._ahead, None)) is not None
        ):
            self._ask(known)
        if self._asked:
            self.drifted |= page.following != self._asked[0][0]
        elif page.following is not None:
            self._ask(page.following)
        return page

    def _ask(self, place: Place) -> None:
        target = self._target(place)
        self._asked.append((place, target, self._api.ask(target)))

    def _target(self, place: Place) -> str:
        if "url" in place:
            return str(place["url"])
        params = [*self._params, *self._pager.params(place)]
        path = self._api.base + self._resource.path
        if not params:
            return path
        return f"{path}{'&' if '?' in path else '?'}{write_query(params)}"

    def _open(self, place: Place, reply: ApiReply) -> Page:
        text = _read_json(reply)
        try:
            objects = text.objects(() if reply.is_empty else self._resource.records)
        except NotThere:
            raise ProtocolViolation(f"GET {reply.url.path}: {self._tell_lack(text)}") from None
        seen = self._seen(place, Page(text, objects, None, reply))
        following = self._pager.follow(seen)
        if following is not None and "url" in following:
            following = {"url": self._api.without_key(following["url"])}
        count = self._pager.count_of(seen)
        if count is not None:
            self.drifted |= self._count not in (None, count)
            self._count = count
        return Page(text, objects, following, reply)

    def _seen(self, place: Place, page: Page) -> PageSeen:
        count = len(page.objects.rows) + len(page.objects.strays)
        return PageSeen(place, page.reply.url, page.reply.link, page.text, count)

    def _tell_lack(self, text: JsonText) -> str:
        """Names of the answer, and no values: those may be rows."""
        where = ".".join(map(str, self._resource.records)) or "its top"
        said = find_message(text.plain()) if text.kind == "{" else ""
        names = ", ".join(show(name, 40) for name in text.names()[:_NAMES_SHOWN])
        has = f", it has {names}" if names else ""
        return f"the answer has no list at {where}{has}" + (f"; it says: {said}" if said else "")


def _read_json(reply: ApiReply) -> JsonText:
    try:
        return JsonText(reply.body)
    except NotJson as exc:
        place = f"GET {reply.url.path}"
        if not reply.framed:
            raise Truncated(f"{place}: the answer ended before its JSON did") from exc
        if not reply.body.strip():
            raise ProtocolViolation(f"{place}: the answer is empty") from exc
        if reply.body.lstrip()[:1] == b"<":
            raise ProtocolViolation(
                f"{place}: the answer is HTML or XML, and no JSON: is this the path of the API, and does the log-in"
                " work?"
            ) from exc
        raise ProtocolViolation(f"{place}: the answer is no JSON, or was cut: {exc}") from exc

"""Lists a tree from a web server's index pages: several pages and many HEADs at once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from farends.contract import ROUND_ROWS, Reason, RemoteEntry, RoundListing, Seen, Skipped
from farends.errors import (
    ConnectionStage,
    NotAListing,
    ProtocolViolation,
    RootMissing,
    TransportError,
    Truncated,
    UnsafeName,
    Vanished,
)
from farends.http.client import PIPELINE_BYTES_MAX, HttpClient
from farends.http.entries import Folder, describe_entry, parse_listed_url, split_path
from farends.http.exchange import Exchange, Inbox
from farends.http.index_pages import IndexPage
from farends.http.index_rows import BadIndexRow, Link, NotUnderstood, Row, as_bytes, shows_name
from farends.http.places import TreePlaces
from farends.http.waiting_rows import WaitingRows
from farends.names import decode, join
from farends.web.answers import asks_for_less, check_coding, status_error
from farends.web.response import Head
from farends.web.url import Url, without_user
from farends.wire.backlog import Backlog
from farends.wire.far_text import show, skipped_name, skipped_row

PAGES_MAX = 8
HEADS_MAX = 64
REPEATS_MAX = 8  # equal pages above a page: a linked folder that contains itself, served for ever
NAMES_REMEMBERED = 1_000  # links to one file stand beside each other; a page may have no end
ELSEWHERE_MAX = 1_000  # links of a page that lead elsewhere and are told
HELD_BYTES_SOFT = 16 * 1024 * 1024  # of rows that wait for answers: then no more of a page is read
HELD_BYTES_MAX = 128 * 1024 * 1024  # where no answer can come before the page's end
# Nothing is sent behind a page: it may have to wait for the answers to other requests.
_PAGE_WEIGHT = PIPELINE_BYTES_MAX + 1
ACCEPT = {"Accept": "application/json, text/html;q=0.9, */*;q=0.1"}


@dataclass(eq=False, slots=True)
class _Folder:
    path: str
    above: _Folder | None = None
    digest: bytes = b""

    def repeats(self) -> int:
        count, folder = 0, self.above
        while folder is not None:
            count += folder.digest == self.digest
            folder = folder.above
        return count


class HttpWalk:
    """One listing from the folder at `places`, or of the `urls` alone. Iterate it once."""

    def __init__(self, client: HttpClient, places: TreePlaces, urls: Sequence[str] = ()) -> None:
        self.client = client
        self.places = places
        self.relists = not urls  # a folder can be listed once more by itself
        self.pages = Inbox()
        self.heads = Inbox()
        self.found: deque[Seen] = deque()
        self.to_open: list[_Folder] = [] if urls else [_Folder("")]
        self.backlog = Backlog()
        self.under_way: set[_PageTaker | _HeadTaker] = set()
        self.waiting = WaitingRows(self.found, client.note_precision)
        self._pages = 0
        for url in urls:
            self._take_url(url)

    def __iter__(self) -> Iterator[Seen]:
        try:
            while True:
                self.heads.run()
                while True:
                    while self.found:
                        yield self.found.popleft()
                    if not (self.pages.todo and self._may_read()):
                        break
                    self.pages.run_one()
                self._ask()
                if not self.under_way:
                    return
                if not self.heads.todo:
                    self.client.pump()
        finally:
            for taker in self.under_way:
                taker.exchange.cancel()

    def _ask(self) -> None:
        waiting = self.waiting
        if not self.under_way and not self.to_open and not waiting.to_head:
            waiting.begin_again()
        while waiting.to_head and len(self.under_way) < HEADS_MAX:
            _HeadTaker(self, *waiting.next_head())
        while self.to_open and self._pages < PAGES_MAX and not waiting.to_head:
            self._pages += 1
            folder = self.to_open.pop()
            if folder.path:
                self.backlog.remove(folder.path)
            _PageTaker(self, folder)

    def _may_read(self) -> bool:
        """Whether more of the pages may be taken in. Where many rows wait for answers, these come first,
        unless no question can be sent before the page's end."""
        if self.waiting.held_bytes < HELD_BYTES_SOFT:
            return True
        self._ask()
        self.client.send()
        if any(
            type(taker) is _HeadTaker and taker.exchange.latest.on_wire for taker in self.under_way
        ):
            return False
        if self.waiting.held_bytes > HELD_BYTES_MAX:
            raise ProtocolViolation(
                "more rows without a size or a time than a listing may hold; give the connector more"
                " connections",
                stage=ConnectionStage.LIST,
            )
        return True

    def page_done(self, taker: _PageTaker) -> None:
        self._pages -= 1
        self.under_way.discard(taker)

    def again(self, folder: str) -> HttpWalk:
        """Walks the tree below one folder; paths begin there."""
        return HttpWalk(self.client, self.places.below(folder))

    def _take_url(self, text: str) -> None:
        told = without_user(text).partition("?")[0]
        try:
            path = parse_listed_url(Url(self.client.origin, "/"), text)
        except UnsafeName as exc:
            self.found.append(skipped_name("", told, str(exc)))
        except ProtocolViolation as exc:
            path = skipped_name("", told, "").path
            self.found.append(Skipped(path, Reason.UNREADABLE, str(exc)))
        else:
            self.waiting.head_later(RemoteEntry(path, None, None))


class _PageTaker:
    """Reads the index page of one folder, or several that go on with each other."""

    def __init__(self, walk: HttpWalk, folder: _Folder) -> None:
        self._walk = walk
        self._folder = folder
        self._page = IndexPage()
        self._names: set[str] = set()  # a folder's with a slash
        self._folders: dict[str, _Folder] = {}
        self._children = 0
        self._leads_up = False
        self._elsewhere: set[str] = set()
        self._digest = hashlib.blake2b(digest_size=16)
        self._head: Head | None = None
        self._children_before = 0  # on the pages that went before this one
        self._goes_on = False  # there were such pages
        self._place: Folder
        self._ask(walk.places.page_url_of(folder.path))
        walk.under_way.add(self)

    def _ask(self, url: Url) -> None:
        walk = self._walk
        self.exchange = Exchange(
            walk.client, walk.pages, self, "GET", url, fields=ACCEPT, weight_bytes=_PAGE_WEIGHT
        )
        walk.client.submit(self.exchange)

    def on_head(self, head: Head) -> None:
        self._walk.client.note_host(head)
        self._head = head
        asked, came_from = self.exchange.url, self.exchange.latest.url
        places = self._walk.places
        self._place = Folder(places.parts_above(asked), came_from)
        try:
            if head.status != 200:
                raise status_error(head, "listing the folder")
            check_coding(head)
        except TransportError as exc:
            self.on_error(exc)
            return
        if came_from.origin != asked.origin or places.parts_above(came_from) != self._place.parts:
            self._led_elsewhere(came_from)

    def _led_elsewhere(self, url: Url) -> None:
        words = f"the host leads from the folder to {show(url.shown)}"
        if self._folder.path:
            self._give_up()
            skipped = Skipped(self._folder.path, Reason.LEADS_ELSEWHERE, words)
            self._walk.found.append(skipped)
        else:
            self.on_error(NotAListing(f"This is not the folder: {words}."))

    def on_data(self, data: memoryview) -> None:
        self._take(data, last=False)

    def on_end(self) -> None:
        if not self._take(b"", last=True):
            return
        framed = self._head is not None and self._head.framed
        try:
            self._page.judge(
                framed=framed,
                children=self._children - self._children_before,
                leads_up=self._leads_up,
            )
        except Truncated as exc:
            if not framed:
                self.on_error(exc)
                return
            self._tell_cut(str(exc))
        except TransportError as exc:
            self.on_error(exc)
            return
        if self._page.next_query is None or not self._go_on(self._page.next_query):
            self._finish()

    def _go_on(self, query: str) -> bool:
        """Asks for the page that follows; whether there is one to ask for."""
        if not query or self._children == self._children_before:
            self._tell_cut("the host says that more follows, and not where", retryable=False)
            return False
        self._children_before = self._children
        self._goes_on = True
        self._page = IndexPage()
        self._ask(Url(self._place.page.origin, f"{self._place.page.path}?{query}"))
        return True

    def _tell_cut(self, words: str, *, retryable: bool = True) -> None:
        path, again = self._folder.path, retryable and self._walk.relists
        self._walk.found.append(Skipped(path, Reason.LISTING_CUT, words, retryable=again))

    def _finish(self) -> None:
        walk, folder = self._walk, self._folder
        walk.page_done(self)
        if self._children in ROUND_ROWS and not self._goes_on:
            walk.found.append(RoundListing(folder.path, self._children))
        if len(self._elsewhere) >= ELSEWHERE_MAX:
            self._tell_cut(f"over {ELSEWHERE_MAX} of its links lead elsewhere", retryable=False)
        folder.digest = self._digest.digest()
        if self._folders and folder.repeats() >= REPEATS_MAX:
            words = "a folder that repeats those above it; its own folders are not followed"
            walk.found.append(Skipped(folder.path, Reason.LINK, words))
            self._forget_folders()
        else:
            walk.to_open.extend(self._folders.values())
            self._folders = {}

    def _forget_folders(self) -> None:
        for path in self._folders:
            self._walk.backlog.remove(path)
        self._folders.clear()

    def _give_up(self) -> None:
        self.exchange.cancel()
        self._walk.page_done(self)
        self._forget_folders()

    def on_error(self, error: TransportError) -> None:
        self._give_up()
        if asks_for_less(error, self._head):
            raise error
        if self._goes_on:
            error = Truncated(f"the listing has a next page, and it cannot be read: {error}")
        if self._folder.path or self._goes_on:
            reason = _REASONS.get(type(error), Reason.UNREADABLE)
            again = error.retryable and not isinstance(error, Vanished) and self._walk.relists
            skipped = Skipped(self._folder.path, reason, str(error), retryable=again)
            self._walk.found.append(skipped)
            return
        if isinstance(error, Vanished):
            raise RootMissing(f"the folder {self.exchange.url.path} does not exist on the host")
        if error.stage is ConnectionStage.READ:
            error.stage = ConnectionStage.LIST
        raise error

    def _take(self, data: bytes | memoryview, *, last: bool) -> bool:
        try:
            rows = self._page.end() if last else self._page.feed(data)
        except TransportError as exc:
            self.on_error(exc)
            return False
        if not self._children and self._page.of_artifactory:
            self._walk.places.note_artifactory()
        for row in rows:
            if self._page.of_thredds and type(row) is Link and not row.folder:
                row = self._walk.places.child_of_catalog(self._folder.path, row)
            self._take_row(row)
        return True

    def _take_row(self, row: Row) -> None:
        if type(row) is BadIndexRow:
            self._walk.found.append(skipped_row(self._folder.path, row.raw, row.words))
            return
        assert type(row) is Link  # noqa: S101 — the other kind, for the type checker
        try:
            self._take_link(row)
        except (NotUnderstood, UnicodeEncodeError) as exc:
            words = str(exc) if isinstance(exc, NotUnderstood) else "half a character"
            raw = row.name or row.reference
            self._walk.found.append(skipped_row(self._folder.path, raw, words))

    def _take_link(self, link: Link) -> None:
        if link.name is not None:
            raw, folder = as_bytes(link.name), link.folder is True
        else:
            child, folder = self._place.child(link.reference)
            if child is None:
                self._take_other_link(link)
                return
            raw = child
        name = decode(raw)
        key = f"{name}/" if folder else name
        if key in self._names:
            return  # an icon and a name often lead to the same file
        if len(self._names) >= NAMES_REMEMBERED:
            self._names.clear()
        self._names.add(key)
        self._children += 1
        self._digest.update(raw + (b"/" if folder else b"") + b"\0%d" % (link.size_bytes or 0))
        try:
            path = self._path_of(name, nested=link.nested)
        except UnsafeName as exc:
            self._walk.found.append(skipped_name(self._folder.path, raw, str(exc)))
            self._tell_elsewhere(link)
            return
        if link.link:
            self._walk.found.append(Skipped(path, Reason.LINK, "a symbolic link, not followed"))
        elif link.special:
            self._walk.found.append(Skipped(path, Reason.SPECIAL, "no regular file"))
        elif folder:
            if path not in self._folders:
                self._walk.backlog.add(path)
                self._folders[path] = _Folder(path, self._folder)
        else:
            shows = link.text
            agrees = shows is None or shows == name or shows_name(shows, raw)
            self._walk.waiting.take_file(path, link, agrees=agrees)

    def _path_of(self, name: str, *, nested: bool) -> str:
        if not nested:
            return join(self._folder.path, name)
        path = self._folder.path
        for part in name.split("/"):
            path = join(path, part)
        return path

    def _take_other_link(self, link: Link) -> None:
        """A link that leads to no child: up, to another folder, or to another host."""
        if not self._leads_up and self._place.leads_up(link.reference, link.text or ""):
            self._leads_up = True
            return
        self._tell_elsewhere(link)

    def _tell_elsewhere(self, link: Link) -> None:
        """What may be held under the names that the link stands for is not gone."""
        reference, text = link.reference, link.text or ""
        words = f"the link leads to {show(without_user(reference))}"
        for raw in self._place.elsewhere(reference, text):
            try:
                path = self._path_of(decode(raw), nested=True)
            except UnsafeName:
                continue
            if path not in self._elsewhere and len(self._elsewhere) < ELSEWHERE_MAX:
                self._elsewhere.add(path)
                self._walk.found.append(Skipped(path, Reason.LEADS_ELSEWHERE, words))


_REASONS: dict[type[TransportError], Reason] = {
    NotAListing: Reason.NOT_A_LISTING,
    Truncated: Reason.LISTING_CUT,
}


@dataclass(eq=False)
class _HeadTaker:
    """Asks for what a row did not tell exactly."""

    walk: HttpWalk
    entry: RemoteEntry
    tries: int
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        url = self.walk.places.url_of(self.entry.path)
        self.exchange = Exchange(self.walk.client, self.walk.heads, self, "HEAD", url)
        self.walk.under_way.add(self)
        self.walk.client.submit(self.exchange)

    def on_head(self, head: Head) -> None:
        self.walk.client.note_host(head)
        self.walk.under_way.discard(self)
        entry = self.entry
        if head.status in (405, 501):
            self.walk.waiting.doubt_rows()
            self.walk.found.append(RemoteEntry(entry.path, entry.size_bytes, None))
        elif head.status != 200:
            self._refuse(status_error(head, "asking for size and time"), head)
        elif self.exchange.latest.url.path.endswith("/"):
            self.walk.waiting.doubt_rows()
            self._take_folder(self.exchange.latest.url)
        else:
            coded = head.fields.get("content-encoding", "identity").lower() != "identity"
            size = entry.size_bytes if coded or head.length is None else head.length
            told = describe_entry(entry.path, head, size)
            minute = entry.modified_ns is not None and entry.size_bytes is not None
            believed = minute and self.walk.waiting.learn_zone(entry, told)
            self.walk.found.append(entry if believed else told)

    def _take_folder(self, url: Url) -> None:
        """Takes a link that is a folder without its slash, or leads to another folder."""
        path, asked = self.entry.path, self.exchange.url
        if url.origin == asked.origin and split_path(url.path) == split_path(asked.path):
            self.walk.backlog.add(path)
            self.walk.to_open.append(_Folder(path))
        else:
            words = f"the host leads from the file to {show(url.shown)}"
            self.walk.found.append(Skipped(path, Reason.LEADS_ELSEWHERE, words))

    def on_data(self, data: memoryview) -> None:
        return None

    def on_end(self) -> None:
        return None

    def on_error(self, error: TransportError) -> None:
        self.walk.under_way.discard(self)
        self._refuse(error, None)

    def _refuse(self, error: TransportError, head: Head | None) -> None:
        self.walk.waiting.doubt_rows()
        if asks_for_less(error, head):
            raise error
        worth = error.retryable and not isinstance(error, Vanished)
        if worth and self.walk.waiting.head_again(self.entry, self.tries + 1):
            return
        self.walk.found.append(Skipped(self.entry.path, Reason.UNREADABLE, str(error)))

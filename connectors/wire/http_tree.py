"""Lists a tree from a web server's index pages: several pages and many HEADs at once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connectors.contract import Reason, RemoteEntry, Seen, Skipped
from connectors.errors import (
    ProtocolViolation,
    RootMissing,
    Stage,
    Throttled,
    TransportError,
    Truncated,
    UnsafeName,
    Vanished,
)
from connectors.names import decode, join
from connectors.wire.backlog import Backlog
from connectors.wire.http_client import HttpClient
from connectors.wire.http_entries import check_coding, child_of, described, path_of
from connectors.wire.http_exchange import Exchange, Inbox, status_error
from connectors.wire.http_response import Head
from connectors.wire.http_url import Url, components, quote_path
from connectors.wire.index_pages import IndexPage, Link
from connectors.wire.shown import skipped_name

MINUTE_NS = 60 * 1_000_000_000
PAGES_MAX = 8
HEADS_MAX = 64
REPEATS_MAX = 8  # equal pages above a page: a linked folder that contains itself, served for ever
NAMES_REMEMBERED = 1_000  # links to one file stand beside each other; a page may have no end
_PAGE_WEIGHT = 256 * 1024
_ACCEPT = {"Accept": "application/json, text/html;q=0.9, */*;q=0.1"}


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
    """One listing from the folder `root`, or of the `urls` alone. Iterate it once."""

    def __init__(self, client: HttpClient, root: str, urls: Sequence[str] = ()) -> None:
        self.client = client
        self.root = root
        self.inbox = Inbox()
        self.found: deque[Seen] = deque()
        self.to_open: list[_Folder] = [] if urls else [_Folder("")]
        self.backlog = Backlog()
        self.to_head: deque[RemoteEntry] = deque()
        self.under_way: set[_PageTaker | _HeadTaker] = set()
        self.rows_tell_utc: bool | None = None  # None: not known yet
        self._rows: list[RemoteEntry] = []  # with times to the minute, until that is known
        self._pages = 0
        for url in urls:
            self._take_url(url)

    def __iter__(self) -> Iterator[Seen]:
        try:
            while True:
                self.inbox.run()
                while self.found:
                    yield self.found.popleft()
                self._ask()
                if not self.under_way:
                    return
                if not self.inbox.todo:
                    self.client.pump()
        finally:
            for taker in self.under_way:
                taker.exchange.cancel()

    def _ask(self) -> None:
        while self.to_head and len(self.under_way) < HEADS_MAX:
            _HeadTaker(self, self.to_head.popleft())
        while self.to_open and self._pages < PAGES_MAX and not self.to_head:
            self._pages += 1
            folder = self.to_open.pop()
            if folder.path:
                self.backlog.remove(folder.path)
            _PageTaker(self, folder)

    def page_done(self, taker: _PageTaker) -> None:
        self._pages -= 1
        self.under_way.discard(taker)

    def url_of(self, path: str, *, folder: bool = False) -> Url:
        target = quote_path("/".join(part for part in (self.root.strip("/"), path) if part))
        return Url(self.client.origin, f"/{target}/" if folder and target else f"/{target}")

    def take_file(self, path: str, link: Link) -> None:
        entry = RemoteEntry(path, link.size_bytes, link.modified_ns)
        if link.size_bytes is not None and link.modified_ns is not None:
            self.found.append(entry)
        elif link.size_bytes is not None and link.minute_ns is not None:
            self._take_row(RemoteEntry(path, link.size_bytes, link.minute_ns))
        else:
            self.to_head.append(entry)

    def _take_row(self, row: RemoteEntry) -> None:
        """A row's time is worth nothing until one file's own answer shows which zone rows are in."""
        if self.rows_tell_utc is True:
            self.found.append(row)
        elif self.rows_tell_utc is False:
            self.to_head.append(row)
        else:
            if not self._rows:
                self.to_head.append(row)
            self._rows.append(row)

    def learn_zone(self, row: RemoteEntry, told: RemoteEntry) -> bool:
        """Holds a row against the file's own answer; whether rows may be believed."""
        if self.rows_tell_utc is None and told.modified_ns is not None:
            utc = told.modified_ns // MINUTE_NS * MINUTE_NS == row.modified_ns
            self._decide(utc and told.size_bytes == row.size_bytes)
        return self.rows_tell_utc is True

    def doubt_rows(self) -> None:
        """The file that was to show the zone did not answer: every file is asked for itself."""
        if self.rows_tell_utc is None:
            self._decide(False)

    def _decide(self, utc: bool) -> None:
        self.rows_tell_utc = utc
        rows, self._rows = self._rows[1:], []
        (self.found if utc else self.to_head).extend(rows)
        if utc:
            self.client.note_precision(MINUTE_NS)

    def _take_url(self, text: str) -> None:
        try:
            path = path_of(Url(self.client.origin, "/"), text)
        except UnsafeName as exc:
            self.found.append(skipped_name("", text, str(exc)))
        except ProtocolViolation as exc:
            self.found.append(Skipped(skipped_name("", text, "").path, Reason.UNREADABLE, str(exc)))
        else:
            self.to_head.append(RemoteEntry(path, None, None))


class _PageTaker:
    """Reads the index page of one folder."""

    def __init__(self, walk: HttpWalk, folder: _Folder) -> None:
        self._walk = walk
        self._folder = folder
        self._page = IndexPage()
        self._names: set[str] = set()
        self._folder_names: set[str] = set()
        self._folders: list[_Folder] = []
        self._digest = hashlib.blake2b(digest_size=16)
        self._head: Head | None = None
        self._base: Url
        self.exchange = Exchange(
            walk.client,
            walk.inbox,
            self,
            "GET",
            walk.url_of(folder.path, folder=True),
            fields=_ACCEPT,
            weight_bytes=_PAGE_WEIGHT,
        )
        walk.under_way.add(self)
        walk.client.submit(self.exchange)

    def on_head(self, head: Head) -> None:
        self._walk.client.note_host(head)
        self._head = head
        self._base = self.exchange.latest.url
        asked = self.exchange.url
        try:
            if head.status != 200:
                raise status_error(head, "listing the folder")
            check_coding(head)
            if self._base.origin != asked.origin or components(self._base.path) != components(
                asked.path
            ):
                raise ProtocolViolation("listing the folder: redirected elsewhere")
        except TransportError as exc:
            self.on_error(exc)

    def on_data(self, data: memoryview) -> None:
        self._take(data, last=False)

    def on_end(self) -> None:
        if not self._take(b"", last=True):
            return
        if self._head is not None and not self._head.framed and not self._page.whole:
            self.on_error(Truncated("the index page is cut off"))
            return
        self._walk.page_done(self)
        self._folder.digest = self._digest.digest()
        if self._folders and self._folder.repeats() >= REPEATS_MAX:
            self._walk.found.append(
                Skipped(
                    self._folder.path,
                    Reason.LINK,
                    "a folder that repeats those above it; its own folders are not followed",
                )
            )
            self._forget_folders()
        else:
            self._walk.to_open.extend(self._folders)

    def _forget_folders(self) -> None:
        for folder in self._folders:
            self._walk.backlog.remove(folder.path)
        self._folders.clear()

    def on_error(self, error: TransportError) -> None:
        self.exchange.cancel()
        self._walk.page_done(self)
        self._forget_folders()
        if isinstance(error, Throttled):
            raise error
        if self._folder.path:
            skipped = Skipped(self._folder.path, Reason.UNREADABLE, str(error))
            self._walk.found.append(skipped)
            return
        if isinstance(error, Vanished):
            raise RootMissing(f"the folder {self.exchange.url.path} does not exist on the host")
        if error.stage is Stage.READ:
            error.stage = Stage.LIST
        raise error

    def _take(self, data: bytes | memoryview, *, last: bool) -> bool:
        try:
            links = self._page.end() if last else self._page.feed(data)
        except ProtocolViolation as exc:
            self.on_error(exc)
            return False
        for link in links:
            self._take_link(link)
        return True

    def _take_link(self, link: Link) -> None:
        raw, folder = self._child(link)
        if raw is None or (not raw and folder):
            return
        name = decode(raw)
        if name in self._names or (folder and name in self._folder_names):
            return  # an icon and a name often lead to the same file
        if len(self._names) >= NAMES_REMEMBERED:
            self._names.clear()
        self._names.add(name)
        self._digest.update(raw + (b"/" if folder else b"") + b"\0%d" % (link.size_bytes or 0))
        try:
            path = join(self._folder.path, name)
        except UnsafeName as exc:
            self._walk.found.append(skipped_name(self._folder.path, raw, str(exc)))
            return
        if link.link:
            self._walk.found.append(Skipped(path, Reason.LINK, "a symbolic link, not followed"))
        elif link.special:
            self._walk.found.append(Skipped(path, Reason.SPECIAL, "no regular file"))
        elif folder:
            self._walk.backlog.add(path)
            self._folder_names.add(name)
            self._folders.append(_Folder(path, self._folder))
        else:
            self._walk.take_file(path, link)

    def _child(self, link: Link) -> tuple[bytes | None, bool]:
        """The name that a row leads to and whether it is a folder; None for what is no child."""
        if link.name is not None:
            return link.name.encode("utf-8", "surrogateescape"), link.folder is True
        return child_of(self._base, link.reference)


@dataclass(eq=False)
class _HeadTaker:
    """Asks for what a row did not tell exactly."""

    walk: HttpWalk
    entry: RemoteEntry
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        url = self.walk.url_of(self.entry.path)
        self.exchange = Exchange(self.walk.client, self.walk.inbox, self, "HEAD", url)
        self.walk.under_way.add(self)
        self.walk.client.submit(self.exchange)

    def on_head(self, head: Head) -> None:
        self.walk.client.note_host(head)
        self.walk.under_way.discard(self)
        entry = self.entry
        if head.status in (405, 501):
            self.walk.doubt_rows()
            self.walk.found.append(RemoteEntry(entry.path, entry.size_bytes, None))
        elif head.status != 200:
            self._refuse(status_error(head, "asking for size and time"))
        elif self.exchange.latest.url.path.endswith("/"):
            self.walk.doubt_rows()
            self.walk.backlog.add(entry.path)
            self.walk.to_open.append(_Folder(entry.path))  # it was a folder without its slash
        else:
            coded = head.fields.get("content-encoding", "identity").lower() != "identity"
            size = entry.size_bytes if coded or head.length is None else head.length
            told = described(entry.path, head, size)
            minute = entry.modified_ns is not None and entry.size_bytes is not None
            believed = minute and self.walk.learn_zone(entry, told)
            self.walk.found.append(entry if believed else told)

    def on_data(self, data: memoryview) -> None:
        return None

    def on_end(self) -> None:
        return None

    def on_error(self, error: TransportError) -> None:
        self.walk.under_way.discard(self)
        self._refuse(error)

    def _refuse(self, error: TransportError) -> None:
        self.walk.doubt_rows()
        if isinstance(error, Throttled):
            raise error
        self.walk.found.append(Skipped(self.entry.path, Reason.UNREADABLE, str(error)))

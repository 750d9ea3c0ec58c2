"""Asks a web server for the SHA-256 of files by HEAD: Repr-Digest (RFC 9530), or the older Digest."""

from __future__ import annotations

import base64
import binascii
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from farends.contract import Digested, RemoteEntry
from farends.errors import Throttled, TransportError
from farends.http.client import HttpClient
from farends.http.exchange import Exchange, Inbox
from farends.web.answers import check_coding, status_error
from farends.web.response import Head
from farends.web.url import Url

HEADS_MAX = 64
SILENT_MAX = 8  # answers without a digest: then the host has none
_WANT = {"Want-Repr-Digest": "sha-256=10", "Want-Digest": "sha-256"}
_FIELDS = (
    ("repr-digest", re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]{44}):\s*(?:;|,|$)")),
    ("digest", re.compile(r"(?:^|,)\s*sha-256=([A-Za-z0-9+/=]{44})\s*(?:,|$)", re.IGNORECASE)),
)


def read_digest(head: Head) -> bytes | None:
    """The SHA-256 of the whole file that a response tells."""
    try:
        check_coding(head)
    except TransportError:
        return None  # of other bytes than the file's own
    for name, form in _FIELDS:
        found = form.search(head.fields.get(name, ""))
        if found is not None:
            try:
                digest = base64.b64decode(found[1], validate=True)
            except binascii.Error:
                continue
            if len(digest) == 32:
                return digest
    return None


class HttpDigests:
    """One call of `digests`. Iterate it once."""

    def __init__(
        self, client: HttpClient, url_of: Callable[[str], Url], entries: Iterable[RemoteEntry]
    ) -> None:
        self.client = client
        self.inbox = Inbox()
        self.done: deque[Digested] = deque()
        self.active: set[_Asker] = set()
        self._url_of = url_of
        self._entries = iter(entries)
        self._told = False
        self._silent = 0

    def __iter__(self) -> Iterator[Digested]:
        try:
            for entry in self._entries:
                if not self._told and self._silent >= SILENT_MAX:
                    yield Digested(entry, None)
                    continue
                self.active.add(_Asker(self, entry, self._url_of(entry.path)))
                # The first few alone: most hosts tell no digests.
                while len(self.active) >= (HEADS_MAX if self._told else SILENT_MAX):
                    self._step()
                while self.done:
                    yield self.done.popleft()
            while self.active:
                self._step()
            yield from self.done
        finally:
            for asker in self.active:
                asker.exchange.cancel()

    def answered(self, asker: _Asker, head: Head) -> None:
        digest = read_digest(head) if head.status == 200 else None
        self.active.discard(asker)
        if digest is not None:
            self._told = True
            by = "Repr-Digest" if "repr-digest" in head.fields else "Digest"
            self.client.note_digests(by)
        elif head.status == 200:
            self._silent += 1
        self.done.append(Digested(asker.entry, digest))

    def failed(self, asker: _Asker, error: TransportError) -> None:
        """The fetch will tell what is wrong with this file."""
        self.active.discard(asker)
        if isinstance(error, Throttled):
            raise error
        self.done.append(Digested(asker.entry, None))

    def _step(self) -> None:
        if not self.inbox.todo:
            self.client.pump()
        self.inbox.run()


class _Asker:
    def __init__(self, digests: HttpDigests, entry: RemoteEntry, url: Url) -> None:
        self._digests = digests
        self.entry = entry
        self.exchange = Exchange(digests.client, digests.inbox, self, "HEAD", url, fields=_WANT)
        digests.client.submit(self.exchange)

    def on_head(self, head: Head) -> None:
        self._digests.client.note_host(head)
        if head.status in (429, 503):
            self._digests.failed(self, status_error(head, "asking for the digest"))
        else:
            self._digests.answered(self, head)

    def on_data(self, data: memoryview) -> None:
        return None

    def on_end(self) -> None:
        return None

    def on_error(self, error: TransportError) -> None:
        self._digests.failed(self, error)

"""Lists a server's resources page by page, and stops at what shows that the listing cannot be trusted."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator

from farends.errors import (
    McpDuplicateUri,
    McpLoop,
    McpProtocol,
    McpToolsOnly,
    McpTooMany,
    TransportError,
)
from farends.mcp.answers import URI_BYTES_MAX, ListedResource
from farends.mcp.client import McpClient
from farends.mcp.line import McpLine
from farends.names import encode
from farends.wire.far_text import show

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
URIS_BYTES_MAX = 64 << 20  # of all together
EMPTY_PAGES_MAX = 100  # in a row


class ResourceListing:
    """Iterate it once. Yields URIs, each once, in the server's order. An error is about the listing as a whole:
    nothing that it does not name is gone."""

    def __init__(
        self, client: McpClient, line: McpLine, most: int, moved: Callable[[], None]
    ) -> None:
        self._client = client
        self._line = line
        self._most = most
        self._moved = moved
        self._seen: set[str] = set()
        self._cursors: set[bytes] = set()
        self._uris_bytes = 0
        self._empty_pages = 0

    def __iter__(self) -> Iterator[str]:
        """Raises McpToolsOnly, McpLoop, McpDuplicateUri, McpTooMany, McpProtocol, TransportError."""
        cursor: str | None = None
        if self._client.declares_tools and not self._client.declares_resources:
            raise _refuse_tools(self._client.count_tools(self._line))
        while True:
            page = self._client.list_page(self._line, cursor)
            self._moved()
            if page is None:
                raise _refuse_tools(self._client.count_tools(self._line))
            cursor = page.next_cursor
            found = page.resources or []
            if cursor is not None:  # first: a page that comes again repeats its URIs as well
                self._check_cursor(cursor, is_empty=not found)
            for resource in found:
                self._take(resource)
                yield resource.uri
            if cursor is None:
                break
        self._check_tools()

    def _take(self, resource: ListedResource) -> None:
        uri = resource.uri
        if not uri or _CONTROL.search(uri):
            raise McpProtocol(f"the listing names a resource without a URI: {show(uri)!r}")
        length = len(encode(uri))
        self._uris_bytes += length
        if length > URI_BYTES_MAX:
            raise McpProtocol(f"the listing names a URI of over {URI_BYTES_MAX} bytes")
        if uri in self._seen:
            raise McpDuplicateUri(f"the listing names {show(uri)} twice")
        self._seen.add(uri)
        if len(self._seen) > self._most or self._uris_bytes > URIS_BYTES_MAX:
            raise McpTooMany(
                f"the server lists more than {self._most} resources, which options.max_resources allows"
                if len(self._seen) > self._most
                else f"the server lists over {URIS_BYTES_MAX} bytes of URIs"
            )

    def _check_cursor(self, cursor: str, *, is_empty: bool) -> None:
        mark = hashlib.blake2b(encode(cursor), digest_size=16).digest()
        if mark in self._cursors:
            raise McpLoop(f"the listing comes back to the cursor {show(cursor, 60)!r}")
        self._cursors.add(mark)
        self._empty_pages = self._empty_pages + 1 if is_empty else 0
        if self._empty_pages > EMPTY_PAGES_MAX:
            raise McpLoop(f"the listing goes on after {EMPTY_PAGES_MAX} empty pages")

    def _check_tools(self) -> None:
        """Many libraries declare resources and list none where a server has tools alone."""
        client, count = self._client, 0
        if self._seen or not client.declares_tools:
            return
        with contextlib.suppress(TransportError):  # an empty listing is what is known for sure
            if not client.has_templates(self._line):
                count = client.count_tools(self._line)
        if count:
            raise _refuse_tools(count, of_empty_listing=True)


def _refuse_tools(count: int, *, of_empty_listing: bool = False) -> McpToolsOnly:
    if count:
        offer = f"no resources, only {count} {'tool' if count == 1 else 'tools'}"
    else:
        offer = "neither resources nor tools"
    return McpToolsOnly(
        f"the server offers {offer}: there is nothing to sync", of_empty_listing=of_empty_listing
    )

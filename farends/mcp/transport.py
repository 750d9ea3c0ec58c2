"""The resources of a remote MCP server as files. A connector names a server to ask, and never a command to run.

What a server tells of a resource's size, type and time decides nothing: each sync reads every resource, and its digest
says whether it changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from farends.contract import (
    Capabilities,
    Context,
    Digested,
    Fetched,
    Reason,
    RemoteEntry,
    Seen,
    Sink,
    Skipped,
    Transport,
    answer_undigested,
)
from farends.errors import McpToolsOnly, UnsafeName
from farends.mcp.client import LISTING_S, READING_S, READING_SLOWLY_S, McpClient
from farends.mcp.fetch import ResourceFetch
from farends.mcp.globs import UriGlob
from farends.mcp.listing import ResourceListing
from farends.mcp.options import McpOptions, McpSecret
from farends.mcp.paths import assign_paths
from farends.names import printable
from farends.reaching import follow_options
from farends.spec import Spec, Target
from farends.stages import MCP_STAGES


class McpTransport:
    """One thread at a time uses it."""

    def __init__(self, client: McpClient, options: McpOptions, way: Context) -> None:
        self._client = client
        self._globs = [UriGlob(glob) for glob in options.include_uris]
        self._most = options.max_resources
        self._way = way
        self._uris: dict[str, str] | None = None  # by path, as listed last

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            tells_times=False,
            ranges=False,
            proves_parts=False,
            server_software=self._client.software,
        )

    def walk(self) -> Iterator[Seen]:
        """The whole listing comes before its first entry: only then it is known to have no loop, and which paths
        are folders of others."""
        with closing(self._client.open_line(self._way.check, LISTING_S)) as line:
            listing = ResourceListing(self._client, line, self._most, self._way.moved)
            try:
                uris = [uri for uri in listing if self._takes(uri)]
            except McpToolsOnly as exc:
                if exc.of_empty_listing:  # it came to its end: nothing is there to be fetched
                    self._uris = {}
                raise
        assigned = list(assign_paths(uris))
        self._uris = {path: uri for uri, path in assigned if isinstance(path, str)}
        for uri, path in assigned:
            if isinstance(path, UnsafeName):
                yield Skipped(printable(uri, 200), Reason.UNSAFE_NAME, str(path))
            else:
                yield RemoteEntry(path, None, None)

    def walk_again(self, folder: str) -> Iterator[Seen]:
        """There is one listing; what of it lies below the folder."""
        prefix = f"{folder}/" if folder else ""
        for item in self.walk():
            if isinstance(item, RemoteEntry) and item.path.startswith(prefix):
                yield RemoteEntry(item.path.removeprefix(prefix), None, None)

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        if self._uris is None:
            for _ in self.walk():
                pass
        slowly = self._way.bandwidth_bytes_per_s > 0
        reading_s = READING_SLOWLY_S if slowly else READING_S
        uris = self._uris or {}
        return iter(ResourceFetch(self._client, uris, self._way.check, reading_s, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return answer_undigested(entries)

    def close(self) -> None:
        self._client.close()

    def _takes(self, uri: str) -> bool:
        return not self._globs or any(glob.matches(uri) for glob in self._globs)


@follow_options
def open_mcp(target: Target, context: Context) -> Transport:
    client = McpClient(target, context)
    try:
        client.connect()
    except BaseException:
        client.close()
        raise
    return McpTransport(client, target.options, context)


SPEC = Spec(
    kind="mcp",
    title="MCP server",
    default_port=443,
    options=McpOptions,
    secret=McpSecret,
    open=open_mcp,
    stages=MCP_STAGES,
)

"""Agrees with an MCP server on a revision, lists its resources and reads them.

Revision 2026-07-28 has no sessions: each request says everything. The older ones open with `initialize`; a server may
then name a session, which every request carries, and which is closed in the end.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from farends.contract import Context
from farends.errors import (
    AuthRefused,
    ConnectionStage,
    McpLoop,
    McpProtocol,
    NeedsPerson,
    PermissionRefused,
    RedirectRefused,
    Throttled,
    TransientError,
    TransportError,
    Unstable,
    Vanished,
)
from farends.mcp.answers import (
    ContentPart,
    ContentReader,
    McpRefusal,
    ResourcePage,
    ServerMessage,
    Write,
    iter_server_messages,
    read_page,
)
from farends.mcp.json_stream import JsonStream
from farends.mcp.line import BATCHING, MODERN, McpDoor, McpLine, McpTerms, SessionForgotten, refuse
from farends.mcp.log_in import McpLogIn
from farends.mcp.options import McpOptions
from farends.spec import Target
from farends.web.url import Origin
from farends.wire.far_text import show
from farends.wire.tls import trusting, trusting_system

LEGACY = ("2025-11-25", "2025-06-18", BATCHING)
LISTING_S = 120.0  # for one page
READING_S = 3_600.0  # for one resource, however large: a drip ends long before
READING_SLOWLY_S = 86_400.0  # where the job's own bandwidth is what slows it down
TOOL_PAGES_MAX = 1_000
_BYE_S = 2.0
_BESIDE_BYTES = 32 << 20  # of an answer, beside what it brings
_ESCAPED = 8  # so many bytes of JSON may stand for one of content
_MODERN_SHARE = 2 / 3  # of the time for both revisions: some old servers let an unknown method wait
_META = "io.modelcontextprotocol/"
_UNKNOWN_METHOD = -32601
_ABSENT = frozenset({-32002, -32602})  # how the revisions say that there is no such resource
_WAY = (ConnectionStage.RESOLVE, ConnectionStage.CONNECT, ConnectionStage.IDENTITY)
# An old server may say nearly anything of a method that it does not know; these speak for themselves.
_DECIDED = (AuthRefused, NeedsPerson, PermissionRefused, RedirectRefused, Throttled)

T = TypeVar("T")


class McpClient:
    """Several threads may read at once, each on a line of its own. Close it."""

    def __init__(self, target: Target, way: Context) -> None:
        """Dials at the first request. `way` is the context as the target's options have it. Raises AuthConfig,
        TlsRefused for options that cannot be used."""
        options: McpOptions = target.options
        authority = options.ca_certificate
        self._door = McpDoor(
            Origin(options.scheme, target.host.lower(), target.port),
            options.path,
            McpLogIn(options, target.secret),
            trusting(authority) if authority else trusting_system(),
            way,
        )
        self._way = way
        self._protocol = options.protocol
        self._lock = threading.Lock()
        self._terms = McpTerms()

    @property
    def software(self) -> str:
        """What the server says that it is, and the revision that is spoken with it."""
        return f"{self._terms.software or 'unnamed'} (MCP {self._terms.version})"

    @property
    def declares_resources(self) -> bool:
        return "resources" in self._terms.capabilities

    @property
    def declares_tools(self) -> bool:
        return "tools" in self._terms.capabilities

    def connect(self) -> None:
        """Agrees on a revision within the connect time-out, whichever it is."""
        self._terms = self._agree()

    def list_page(self, line: McpLine, cursor: str | None) -> ResourcePage | None:
        """A page of the listing; None where the server does not know of resources. Raises TransportError."""
        params = {} if cursor is None else {"cursor": cursor}
        try:
            raw = self._ask(lambda terms: line.fetch_raw("resources/list", params, terms))
        except McpRefusal as exc:
            if exc.code == _UNKNOWN_METHOD:
                return None
            raise refuse(exc, "resources/list") from exc
        return read_page(raw)

    def has_templates(self, line: McpLine) -> bool:
        """Whether the server has resources that it cannot list. Raises TransportError."""
        try:
            page = self._ask(lambda terms: line.call("resources/templates/list", {}, terms))
        except McpRefusal:
            return False
        return bool(page.get("resourceTemplates"))

    def count_tools(self, line: McpLine) -> int:
        count, cursor, seen = 0, None, set[str]()
        while len(seen) < TOOL_PAGES_MAX:
            found, cursor = self._count_tools_of_page(line, cursor)
            count += found
            if cursor is None or cursor in seen:
                break
            seen.add(cursor)
        return count

    def _count_tools_of_page(self, line: McpLine, cursor: str | None) -> tuple[int, str | None]:
        params = {} if cursor is None else {"cursor": cursor}
        try:
            page = self._ask(lambda terms: line.call("tools/list", params, terms))
        except McpRefusal:
            return 0, None
        tools, further = page.get("tools"), page.get("nextCursor")
        found = len(tools) if isinstance(tools, list) else 0
        return found, further if isinstance(further, str) else None

    def read(self, line: McpLine, uri: str, write: Write) -> None:
        """Hands the content on as it arrives; it counts only if this returns. Raises Vanished, TransportError."""
        content = _Content(write)
        asked = {uri}
        following: str | None = uri
        while following is not None:
            following = self._read_part(line, following, content)
            if following in asked:
                raise McpLoop("the parts of the resource come back to where they were")
            if following is not None:
                asked.add(following)

    def _read_part(self, line: McpLine, uri: str, content: _Content) -> str | None:
        """The URI of the next part, where the server gives a large resource in parts, as this product's own does."""
        reader = ContentReader(uri, content.take)

        def read(pieces: Iterable[bytes], batched: bool) -> Iterator[ServerMessage]:
            return iter_server_messages(JsonStream(pieces), reader.read, batched=batched)

        params = {"uri": uri}
        try:
            self._ask(
                lambda terms: line.ask(
                    "resources/read", params, terms, name=uri, read=read, most=content.allow
                )
            )
        except McpRefusal as exc:
            if exc.code in _ABSENT:
                raise Vanished(f"the server has no such resource: {exc.message}") from exc
            raise refuse(exc, "resources/read") from exc
        part = reader.check()
        content.check_whole(part)
        return part.following

    def open_line(self, check: Callable[[], None], total_s: float) -> McpLine:
        return McpLine(self._door, check, total_s)

    def close(self) -> None:
        """Tells the server that the session is over; what it says to that changes nothing."""
        terms, self._terms = self._terms, McpTerms()
        if not terms.session:
            return
        line = self.open_line(lambda: None, _BYE_S)
        with contextlib.closing(line), contextlib.suppress(TransportError):
            line.end_session(terms)

    def _ask(self, ask: Callable[[McpTerms], T]) -> T:
        """A server that has forgotten the session says so, and then a new one is opened."""
        terms = self._terms
        try:
            return ask(terms)
        except SessionForgotten:
            self._renew(terms.session)
        try:
            return ask(self._terms)
        except SessionForgotten as exc:
            raise TransientError("the server forgets each session at once") from exc

    def _renew(self, session: str) -> None:
        """For all lines together, once."""
        with self._lock:
            if self._terms.session == session:
                self._terms = self._agree()

    def _agree(self) -> McpTerms:
        ends_at = time.monotonic() + self._way.patience.connect_s
        if self._protocol == "auto":
            found = self._try_modern(ends_at)
            if found is not None:
                return found
        elif self._protocol == MODERN:
            return self._within(ends_at, 1.0, _discover)
        return self._within(ends_at, 1.0, _initialize)

    def _try_modern(self, ends_at: float) -> McpTerms | None:
        try:
            return self._within(ends_at, _MODERN_SHARE, _discover)
        except TransportError as exc:
            if exc.stage in _WAY or isinstance(exc, _DECIDED):
                raise
            return None

    def _within(
        self, ends_at: float, share: float, agree: Callable[[McpLine], McpTerms]
    ) -> McpTerms:
        total_s = max((ends_at - time.monotonic()) * share, 0.1)
        with _at_log_in(), contextlib.closing(self.open_line(self._way.check, total_s)) as line:
            return agree(line)


class _Content:
    """What has come of one resource."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._bytes = 0
        self._hash = hashlib.sha256()
        self._told = ""  # the digest of the whole, as the first of several parts told it

    def take(self, piece: bytes) -> None:
        self._bytes += len(piece)
        self._hash.update(piece)
        self._write(piece)

    def allow(self) -> int:
        """How many bytes the answer may have by now."""
        return _BESIDE_BYTES + _ESCAPED * self._bytes

    def check_whole(self, part: ContentPart) -> None:
        """Raises Unstable where the parts are not of one content."""
        self._told = self._told or part.sha256
        is_last = part.following is None
        if part.sha256 != self._told or (
            is_last and self._told and self._told != self._hash.hexdigest()
        ):
            raise Unstable("the resource changed while its parts were read")


def _discover(line: McpLine) -> McpTerms:
    try:
        told = line.call("server/discover", {}, McpTerms(MODERN))
    except McpRefusal as exc:
        raise refuse(exc, "server/discover") from exc
    known = told.get("supportedVersions")
    if isinstance(known, list) and MODERN not in known:
        raise McpProtocol(f"the server speaks {show(str(known), 100)}")
    server = _object(told, "_meta").get(f"{_META}serverInfo") or told.get("serverInfo")
    return McpTerms(MODERN, "", _object(told, "capabilities"), _name_software(server))


def _initialize(line: McpLine) -> McpTerms:
    try:
        told, session = line.initialize(LEGACY[0])
    except McpRefusal as exc:
        raise refuse(exc, "initialize") from exc
    version = told.get("protocolVersion")
    if version not in LEGACY:
        words = show(str(version), 40)
        raise McpProtocol(f"the server speaks revision {words}, which is not known here")
    software = _name_software(told.get("serverInfo"))
    terms = McpTerms(str(version), session, _object(told, "capabilities"), software)
    try:
        line.notify("notifications/initialized", terms)
    except (McpRefusal, SessionForgotten) as exc:
        raise McpProtocol("the server does not take notifications/initialized") from exc
    return terms


def _object(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _name_software(server: Any) -> str:
    if not isinstance(server, dict):
        return ""
    words = [server.get("name"), server.get("version")]
    return show(" ".join(word for word in words if isinstance(word, str) and word), 100)


@contextlib.contextmanager
def _at_log_in() -> Iterator[None]:
    """Agreeing is the log-in of the connection test."""
    try:
        yield
    except TransportError as exc:
        if exc.stage not in _WAY:
            exc.stage = ConnectionStage.LOG_IN
        raise

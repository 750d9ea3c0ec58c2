"""One kept connection to an MCP server: a request of JSON-RPC is one POST, whose answer is JSON or a stream of events."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from farends.contract import Context
from farends.conversation import Answer, Conversation, ConversationLimits
from farends.errors import (
    ConnectionStage,
    McpAuthFailed,
    McpContents,
    McpDuplicateUri,
    McpLoop,
    McpOtherUri,
    McpProtocol,
    McpWrongId,
    NeedsPerson,
    PermanentError,
    ProtocolViolation,
    RedirectRefused,
    TransportError,
    Truncated,
    Vanished,
)
from farends.mcp.answers import (
    McpRefusal,
    ServerMessage,
    check_request,
    decode_message,
    find_refusal,
    iter_held_messages,
    take_result,
)
from farends.mcp.events import EventStream
from farends.web.answers import REDIRECTS, status_error
from farends.web.auth import LoggingIn
from farends.web.url import Origin
from farends.wire.far_text import show

MODERN = "2026-07-28"
BATCHING = "2025-03-26"  # the one revision in which several messages may come in one array
HELD_BYTES_MAX = 64 << 20  # of an answer that is held as a whole, such as a page of a listing
EVENTS_MAX = 10_000  # before an answer
_PROGRESS_BYTES = 1024  # within the idle time-out: less is a drip
_ERROR_BYTES = 64 * 1024
_MEASURED_BYTES = 16 << 20  # of an answer of which only the length is told
_SESSION = re.compile(r"[!-~]{1,1000}")
_PLAIN_NAME = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_META = "io.modelcontextprotocol/"
_US = {"name": "syncproject", "version": "1"}
_OWN_META = {
    f"{_META}protocolVersion": MODERN,
    f"{_META}clientCapabilities": {},
    f"{_META}clientInfo": _US,
}
_OWN_ERRORS = (McpProtocol, McpLoop, McpDuplicateUri, McpContents, McpOtherUri, McpWrongId)
_OF_METHODS = (-32601, -32602, -32002)  # unknown method, resource: these say nothing of the session
_NO_SESSION = -32000
_SAYS_NOTHING_MORE = (400, 404)  # a status that the error of JSON-RPC in the body explains

# Takes the pieces of one JSON text, and whether it may be an array of messages; there may be none in it.
Read = Callable[[Iterable[bytes], bool], Iterator[ServerMessage]]


@dataclass(frozen=True, slots=True)
class McpTerms:
    """What the server and we have agreed on. `version` is empty before that."""

    version: str = ""
    session: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    software: str = ""

    @property
    def is_modern(self) -> bool:
        return self.version == MODERN


@dataclass(frozen=True, slots=True)
class McpDoor:
    """Where a server takes requests, and how to come there."""

    origin: Origin
    path: str
    log_in: LoggingIn
    tls: ssl.SSLContext
    way: Context
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))  # of requests


class SessionForgotten(Exception):
    """The server does not know the session any more."""


class McpLine:
    """For one thread at a time; every exchange may take `total_s`. Close it."""

    def __init__(self, door: McpDoor, check: Callable[[], None], total_s: float) -> None:
        self._door = door
        limits = ConversationLimits(
            total_s=total_s, progress_bytes=_PROGRESS_BYTES, body_bytes_max=1 << 62, redirects_max=0, needs_frame=False
        )  # fmt: skip
        way = replace(door.way, check=check)
        self._conversation = Conversation(door.origin, door.log_in, door.tls, door.tls, way, limits)

    def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        terms: McpTerms,
        *,
        read: Read,
        most: Callable[[], int],
        name: str = "",
    ) -> Any:
        """The result as `read` made it; the answer may have `most` bytes, which is asked as it arrives. Raises
        McpRefusal, SessionForgotten, TransportError."""
        return self._ask(method, params, terms, name, _Reading(read, most, quotes=False))[0]

    def fetch_raw(self, method: str, params: Mapping[str, Any], terms: McpTerms) -> bytes:
        """The result as it is written, where it can be held. Raises McpRefusal, SessionForgotten, TransportError."""
        raw: bytes = self._ask(method, params, terms, "", _HOLD)[0]
        return raw

    def call(self, method: str, params: Mapping[str, Any], terms: McpTerms) -> dict[str, Any]:
        """The result, where it is an object that can be held. Raises McpRefusal, SessionForgotten, TransportError."""
        return _object_of(self.fetch_raw(method, params, terms), method)

    def initialize(self, version: str) -> tuple[dict[str, Any], str]:
        """The result, and the session that the server names: empty where it names none."""
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": _US}
        raw, fields = self._ask("initialize", params, McpTerms(), "", _HOLD)
        session = fields.get("mcp-session-id", "")
        if session and not _SESSION.fullmatch(session):
            raise McpProtocol("the server names a session by what no header field carries")
        return _object_of(raw, "initialize"), session

    def notify(self, method: str, terms: McpTerms) -> None:
        with self._post({"jsonrpc": "2.0", "method": method}, terms, {}) as answer:
            self._check_head(answer, terms)
            answer.pass_over()

    def end_session(self, terms: McpTerms) -> None:
        """Whatever the server makes of it."""
        fields = _fields(terms, {})
        with self._conversation.ask("DELETE", self._door.path, fields=fields) as answer:
            answer.pass_over()

    def close(self) -> None:
        self._conversation.close()

    def _ask(
        self, method: str, params: Mapping[str, Any], terms: McpTerms, name: str, reading: _Reading
    ) -> tuple[Any, Mapping[str, str]]:
        """The result, and the fields of the answer's head."""
        number = next(self._door.ids)
        told: dict[str, str] = {}
        if terms.is_modern:
            params = {**params, "_meta": _OWN_META}
            told = {"Mcp-Method": method} | ({"Mcp-Name": encode_name(name)} if name else {})
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        with self._post(message, terms, told) as answer, _as_mcp():
            self._check_head(answer, terms)
            found = _read_answer(answer, reading, batched=terms.version == BATCHING)
            return take_result(found, number), answer.head.fields

    def _post(self, message: Mapping[str, Any], terms: McpTerms, told: Mapping[str, str]) -> Answer:
        """Only `initialize` leaves something behind at the server; all else may be asked twice."""
        fields = {**_fields(terms, told), "Content-Type": "application/json"}
        body = json.dumps(message).encode()
        repeatable = message["method"] != "initialize"
        with _as_mcp():
            return self._conversation.ask(
                "POST", self._door.path, fields=fields, body=body, repeatable=repeatable
            )

    def _check_head(self, answer: Answer, terms: McpTerms) -> None:
        """Raises what a status other than success stands for."""
        status, fields = answer.status, answer.head.fields
        if status in REDIRECTS:
            answer.close()
            raise RedirectRefused(
                f"the server redirects to {show(fields.get('location', 'nowhere'))}. The credential is for"
                f" {self._door.origin.authority} alone: set host, port and options.path to where the server is."
            )
        if status == 401:
            answer.close()
            raise McpAuthFailed(_explain_401(fields.get("www-authenticate", "")))
        if status < 400:
            return
        refusal = _find_refusal_in(answer)
        if terms.session and _tells_forgotten(status, refusal):
            raise SessionForgotten
        if refusal is not None and status in _SAYS_NOTHING_MORE:
            raise refusal
        error = status_error(answer.head, "the request")
        words = f"{error}: {refusal}" if refusal is not None else str(error)
        if isinstance(error, Vanished) or type(error) is PermanentError:
            raise McpProtocol(words)
        error.args = (words,)
        raise error


@dataclass(frozen=True, slots=True)
class _Reading:
    """`quotes`: the beginning of an answer that is none may be shown. What a read brings may be a file's text, which
    belongs in no message."""

    read: Read
    most: Callable[[], int]
    quotes: bool


def _hold(pieces: Iterable[bytes], batched: bool) -> Iterator[ServerMessage]:
    return iter_held_messages(b"".join(pieces), batched=batched)


_HOLD = _Reading(_hold, lambda: HELD_BYTES_MAX, quotes=True)


def _bound(pieces: Iterable[bytes], most: Callable[[], int]) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > most():
            raise McpProtocol(f"the answer has over {most()} bytes")
        yield piece


def encode_name(name: str) -> str:
    """As the header field carries it: what is not plain ASCII goes in base64 (revision 2026-07-28)."""
    if _PLAIN_NAME.fullmatch(name) and not name.startswith("=?base64?"):
        return name
    return f"=?base64?{base64.b64encode(name.encode('utf-8', 'surrogatepass')).decode()}?="


def _read_answer(answer: Answer, reading: _Reading, *, batched: bool) -> ServerMessage:
    kind = answer.head.fields.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        message = _find_answer(reading.read(_bound(answer, reading.most), batched))
    elif kind == "text/event-stream":
        message = _read_events(_bound(answer, reading.most), reading.read, batched=batched)
    else:
        seen = show(next(iter(answer), b"")[:200]) if reading.quotes else _measure(answer)
        raise McpProtocol(
            f"the server answered {answer.status} with {show(kind, 60) or 'no type'} in place of JSON: {seen}"
        )
    if message is None:
        raise McpProtocol("the server's answer is empty")
    return message


def _measure(pieces: Iterable[bytes]) -> str:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > _MEASURED_BYTES:
            return f"over {_MEASURED_BYTES} bytes"
    return f"{count} bytes"


def _find_answer(messages: Iterable[ServerMessage]) -> ServerMessage | None:
    """The first that asks nothing, or else the last; None where there is none."""
    message = None
    for message in messages:
        if message.method is None:
            return message
        check_request(message)
    return message


def _read_events(pieces: Iterable[bytes], read: Read, *, batched: bool) -> ServerMessage:
    """What comes before the answer are events without data, notifications, and requests that nobody here answers."""
    for number, data in enumerate(EventStream(pieces)):
        if number > EVENTS_MAX:
            raise McpProtocol(f"the server sends over {EVENTS_MAX} events before its answer")
        message = _find_answer(read(data, batched))
        if message is not None and message.method is None:
            return message
    raise Truncated("the stream of events ended before the answer")


def _fields(terms: McpTerms, told: Mapping[str, str]) -> dict[str, str]:
    fields = {"Accept": "application/json, text/event-stream", **told}
    if terms.version:
        fields["MCP-Protocol-Version"] = terms.version
    if terms.session:
        fields["Mcp-Session-Id"] = terms.session
    return fields


def _find_refusal_in(answer: Answer) -> McpRefusal | NeedsPerson | None:
    """The error of JSON-RPC in the body of an answer; None where there is none, or another kind of error: then the
    status says more."""
    raw = b""
    with contextlib.suppress(TransportError):
        for piece in answer:
            raw += piece
            if len(raw) > _ERROR_BYTES:
                answer.close()
                return None
        found = find_refusal(decode_message(raw).error)
        return found if isinstance(found, McpRefusal | NeedsPerson) else None
    return None


def _tells_forgotten(status: int, refusal: Exception | None) -> bool:
    """Status 404 says it by the protocol; some servers say 400, with the code of their library."""
    code = refusal.code if isinstance(refusal, McpRefusal) else None
    return code not in _OF_METHODS if status == 404 else status == 400 and code == _NO_SESSION


def _explain_401(challenge: str) -> str:
    if "resource_metadata" in challenge.lower():
        return "this server wants OAuth; give a token in `secret.token`"
    return "the server refused the token, or wants one: give it in `secret.token`"


def _object_of(raw: bytes, method: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (ValueError, RecursionError) as exc:
        raise McpProtocol(f"the result of {method} is no object") from exc


def refuse(exc: McpRefusal, method: str) -> McpProtocol:
    return McpProtocol(f"the server answered {method} with error {exc.code}: {exc.message}")


@contextlib.contextmanager
def _as_mcp() -> Iterator[None]:
    """What breaks HTTP breaks MCP: one code tells of both."""
    try:
        yield
    except _OWN_ERRORS:
        raise
    except ProtocolViolation as exc:
        way = (ConnectionStage.RESOLVE, ConnectionStage.CONNECT, ConnectionStage.IDENTITY)
        if exc.stage in way:
            raise
        raise McpProtocol(str(exc), stage=exc.stage) from exc

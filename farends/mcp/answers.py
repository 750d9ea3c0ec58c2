"""What a server's answer says: JSON-RPC (2.0), and the content of one resource, which is handed on as it arrives."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from farends.errors import McpContents, McpOtherUri, McpProtocol, McpWrongId, NeedsPerson
from farends.mcp.json_stream import JsonStream
from farends.mcp.uris import is_same_uri
from farends.wire.far_text import show

URI_BYTES_MAX = 32 * 1024
ERROR_BYTES_MAX = 64 * 1024
META_BYTES_MAX = 1 << 20
BATCH_MAX = 1_000  # messages in one array
_ASKS_PERSON = "elicitation/create"
URL_ELICITATION = -32042
_FORMS = ("text", "blob")

Write = Callable[[bytes], None]


class McpRefusal(Exception):
    """The server answers with an error of JSON-RPC."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@dataclass(slots=True)
class ServerMessage:
    """A message of the server. `result` is what the reader of the result returned; None: there is none."""

    id: Any = None
    method: Any = None
    error: Any = None
    has_result: bool = False
    result: Any = None


class _Held(msgspec.Struct):
    """A message as it is written."""

    id: Any = None
    method: Any = None
    error: Any = None
    result: msgspec.Raw = msgspec.Raw()


def decode_message(raw: bytes) -> ServerMessage:
    """A message that is held as a whole; its result stays as it is written. Raises McpProtocol for what is none."""
    try:
        held = msgspec.json.decode(raw, type=_Held)
    except (ValueError, RecursionError) as exc:
        raise McpProtocol(f"the answer is no message of JSON-RPC: {show(raw, 100)}") from exc
    result = bytes(held.result)
    return ServerMessage(held.id, held.method, held.error, bool(result), result)


def iter_held_messages(raw: bytes, *, batched: bool) -> Iterator[ServerMessage]:
    """Like `decode_message`, for what may be nothing or, where it is `batched`, an array of messages."""
    json = JsonStream([raw])
    if json.is_empty():
        return
    if not batched or not json.begins_with(b"["):
        yield decode_message(raw)
        return
    for _ in _iter_batch(json):
        yield decode_message(json.read_raw(len(raw)))


def iter_server_messages(
    json: JsonStream, read_result: Callable[[JsonStream], None], *, batched: bool
) -> Iterator[ServerMessage]:
    """Like `read_server_message`, for what may be nothing or, where it is `batched`, an array of messages."""
    if json.is_empty():
        return
    if not batched or not json.begins_with(b"["):
        yield read_server_message(json, read_result)
        return
    for _ in _iter_batch(json):
        yield _read_message(json, read_result)


def _iter_batch(json: JsonStream) -> Iterator[None]:
    for number, _ in enumerate(json.items()):
        if number == BATCH_MAX:
            raise McpProtocol(f"the answer is an array of over {BATCH_MAX} messages")
        yield
    json.finish()


def read_server_message(
    json: JsonStream, read_result: Callable[[JsonStream], None]
) -> ServerMessage:
    """A message whose result is read as it arrives. Raises McpProtocol for what is none."""
    told = _read_message(json, read_result)
    json.finish()
    return told


def _read_message(json: JsonStream, read_result: Callable[[JsonStream], None]) -> ServerMessage:
    if not json.begins_with(b"{"):
        raise McpProtocol("the answer is no message of JSON-RPC")
    told = ServerMessage()
    for key in json.members():
        match key:
            case "id":
                told.id = json.read_value(1_000)
            case "method":
                told.method = json.read_value(1_000)
            case "error":
                told.error = json.read_value(ERROR_BYTES_MAX)
            case "result":
                if told.has_result:
                    raise McpProtocol("the answer has two results")
                told.has_result = True
                read_result(json)
            case _:
                json.skip()
    return told


def take_result(told: ServerMessage, wanted_id: int) -> Any:
    """The result of the request of that id. Raises McpRefusal, McpWrongId, McpProtocol."""
    if told.error is not None and told.id is None:  # the server could not read whose request it was
        raise find_refusal(told.error)
    if told.id != wanted_id or isinstance(told.id, bool):
        raise McpWrongId(
            f"the server answered request {show(repr(told.id), 40)}; {wanted_id} was asked"
        )
    if told.error is not None:
        raise find_refusal(told.error)
    if not told.has_result:
        raise McpProtocol("the answer has neither a result nor an error")
    return told.result


def find_refusal(error: Any) -> Exception:
    """The error that the server tells; NeedsPerson where it wants a person to go to a web page first."""
    if not isinstance(error, dict):
        return McpProtocol("the answer's error is no object")
    code, message = error.get("code"), error.get("message")
    words = show(message) if isinstance(message, str) else "without words"
    if code == URL_ELICITATION:
        return NeedsPerson(f"the server asks a person to go to a web page: {words}")
    if not isinstance(code, int) or isinstance(code, bool):
        return McpProtocol(f"the answer's error has no code: {words}")
    return McpRefusal(code, words, error.get("data"))


def check_request(told: ServerMessage) -> None:
    """What a server asks of us on the way. We offer nothing, so nothing is answered; but who waits for a person would
    wait for ever. Raises NeedsPerson."""
    if told.method == _ASKS_PERSON:
        raise NeedsPerson("the server asks a person something before it answers")


_INPUT_REQUIRED = "the server asks a person something before it answers (input_required)"


@dataclass(frozen=True, slots=True)
class ContentPart:
    """What a server that knows this product's terms says of a content: the digest of the whole file, and the URI of
    its next part. Where it tells no digest, there are no parts."""

    sha256: str = ""
    following: str | None = None


class ContentReader:
    """Reads the result of `resources/read`. Its content goes to `write` as it arrives, and counts only if `check`
    then raises nothing."""

    def __init__(self, uri: str, write: Write) -> None:
        self._uri = uri
        self._write = write
        self._forms: list[str] = []  # of the contents so far
        self._asks = False
        self._part = ContentPart()

    def read(self, json: JsonStream) -> None:
        if not json.begins_with(b"{"):
            raise McpProtocol("the result is no object")
        for key in json.members():
            if key == "resultType":
                self._asks = json.read_value(1_000) == "input_required"
            elif key == "contents":
                self._read_contents(json)
            else:
                json.skip()

    def check(self) -> ContentPart:
        """After the result. Raises NeedsPerson, McpContents."""
        if self._asks:
            raise NeedsPerson(_INPUT_REQUIRED)
        if not self._forms:  # the protocol forbids it: it does not prove that the resource is empty
            raise McpContents("the server answered without any content")
        return self._part

    def _read_contents(self, json: JsonStream) -> None:
        if not json.begins_with(b"[") or self._forms:
            raise McpContents("the server's contents are no list")
        for _ in json.items():
            self._read_content(json)

    def _read_content(self, json: JsonStream) -> None:
        if not json.begins_with(b"{"):
            raise McpContents("a content is no object")
        uri, form = None, ""
        for key in json.members():
            if key == "uri":
                uri = json.read_value(URI_BYTES_MAX)
                self._check_uri(uri)
            elif key in _FORMS and not json.begins_with(
                b"n"
            ):  # some libraries write null beside a blob
                if form:
                    raise McpContents("a content is told twice")
                form = key
                self._take_form(json, form)
            elif key == "_meta":
                self._part = _find_part(json.read_value(META_BYTES_MAX))
            else:
                json.skip()
        if uri is None:
            raise McpContents("a content does not say of which resource it is")
        if not form:
            raise McpContents("a content holds neither text nor blob")

    def _check_uri(self, uri: Any) -> None:
        if not isinstance(uri, str):
            raise McpContents("a content does not say of which resource it is")
        if not is_same_uri(uri, self._uri):
            raise McpOtherUri(f"the server answered with the content of {show(uri)}")

    def _take_form(self, json: JsonStream, form: str) -> None:
        if self._forms and (form == "blob" or "blob" in self._forms):
            raise McpContents("several contents, and not all of them text: they are not one file")
        self._forms.append(form)
        if not json.begins_with(b'"'):
            raise McpContents(f"the {form} of a content is no string")
        pieces = json.iter_string()
        for piece in pieces if form == "text" else decode_base64(pieces):
            self._write(piece)


def _find_part(meta: Any) -> ContentPart:
    provenance = meta.get("syncproject/provenance") if isinstance(meta, dict) else None
    sha256 = provenance.get("sha256") if isinstance(provenance, dict) else None
    if not isinstance(sha256, str):
        return ContentPart()
    following = meta.get("syncproject/next")
    return ContentPart(sha256, following if isinstance(following, str) else None)


def decode_base64(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Strict RFC 4648 §4, whole groups of four at a time. Raises McpContents."""
    left, is_over = b"", False
    for piece in pieces:
        if is_over and piece:
            raise McpContents("the blob is no base64: something follows its end")
        text = left + piece
        count = len(text) - len(text) % 4
        left = text[count:]
        if count:
            is_over = text[count - 1 : count] == b"="
            yield _decode_groups(text[:count])
            if is_over and left:
                raise McpContents("the blob is no base64: something follows its end")
    if left:
        raise McpContents("the blob is no base64: it is cut")


def _decode_groups(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as exc:
        raise McpContents("the blob is no base64") from exc


class ListedResource(msgspec.Struct):
    """A row of `resources/list`; all that is told besides decides nothing."""

    uri: str


class ResourcePage(msgspec.Struct, rename="camel"):
    """The result of `resources/list`."""

    resources: list[ListedResource] | None = None
    next_cursor: str | None = None
    result_type: Any = None


def read_page(raw: bytes) -> ResourcePage:
    """Raises McpProtocol, NeedsPerson."""
    try:
        page = msgspec.json.decode(raw, type=ResourcePage)
    except (ValueError, RecursionError) as exc:
        words = show(str(exc), 100)
        raise McpProtocol(f"the answer to resources/list is no listing: {words}") from exc
    if page.result_type == "input_required":
        raise NeedsPerson(_INPUT_REQUIRED)
    if page.resources is None:
        raise McpProtocol("the answer to resources/list names no list of resources")
    return page

"""`POST /mcp`: streamable HTTP, stateless. What is wrong is refused in this order: host, origin, token, turn, type and size of
the body, JSON, envelope, headers, method.

It needs no session, no cookie and no message to a person, so a middleware answers it before these are looked for. A token is
no cookie, and a page of elsewhere has none."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    StreamingHttpResponse,
)
from django.http.request import validate_host

from api.mcp.call import Call, encode_answer
from api.mcp.caller import McpCaller
from api.mcp.envelope import BODY_MAX, Message, read_message
from api.mcp.eras import is_modern_over_http, need_known_revision
from api.mcp.errors import RpcError
from api.mcp.methods import answer_call
from api.mcp.resources.listening import Listening
from api.mcp.tools.table import TOOLS
from api.rest.answers import Refused, problem
from api.rest.callers import need_live_token
from api.rest.idempotency import HEADER
from api.rest.streams import EVENT_STREAM, KEEP_ALIVE
from api.rest.throttling import take_turn
from workspaces.acting import Actor, Door, acting
from workspaces.places import Pieces, listens

PATH = "/mcp"
_JSON = "application/json"
# The interpreter runs one thread at a time: whoever else wants it waits for each thread that wants it too. So agents work
# few at a time, however many ask, and REST does not become slow behind them.
AT_WORK_MAX = 4
_at_work = threading.BoundedSemaphore(AT_WORK_MAX)


def let_agents_in(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """The middleware."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        return _serve(request) if request.path_info == PATH else get_response(request)

    return respond


def _serve(request: HttpRequest) -> HttpResponseBase:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        _need_own_origin(request)
        caller = McpCaller(need_live_token(request))
        take_turn(f"token {caller.principal}")
        body = _read_body(request)
    except Refused as exc:
        return _refuse(exc)
    with acting(lambda: Actor(caller.name, Door.MCP)):
        return _respond(request, caller, body)


def _respond(request: HttpRequest, caller: McpCaller, body: bytes) -> HttpResponseBase:
    known: str | int | None = None
    try:
        message = read_message(body)
        if message.id is None:
            need_known_revision(message, request.headers)
            return HttpResponse(status=HTTPStatus.ACCEPTED)  # there is nothing to be noted
        known = message.id
        return _answer(request, caller, message)
    except Refused as exc:
        return problem(exc)
    except RpcError as exc:
        error = {"code": exc.code, "message": str(exc)}
        if exc.data is not None:
            error["data"] = exc.data
        return _say(
            encode_answer(known if exc.request_id is None else exc.request_id, error=error),
            exc.status,
        )


def _answer(request: HttpRequest, caller: McpCaller, message: Message) -> HttpResponseBase:
    """Raises RpcError, Refused."""
    is_modern = is_modern_over_http(message, request.headers)
    call = Call(caller, message, is_modern, request.headers.get(HEADER))
    with _place_of(message):
        told = answer_call(call)
    if isinstance(told, Listening):
        client = request.environ.get("gunicorn.socket")  # type: ignore[attr-defined]  # of WSGI
        return _stream(told, partial(_has_gone, client))
    return _say(encode_answer(message.id, result=told))


def _place_of(message: Message) -> AbstractContextManager[Any]:
    """A call that waits for a far end takes no turn of those that work."""
    name = message.params.get("name") if message.method == "tools/call" else None
    tool = TOOLS.get(name) if isinstance(name, str) else None
    return nullcontext() if tool is not None and tool.hints.open_world else _at_work


def _has_gone(client: socket.socket | None, within_s: float) -> bool:
    """Whether the client hangs up within this time; returns as soon as it does. One that ends only its own half of the
    connection counts too: no client of HTTP does so and goes on listening. None: the server keeps the connection from us."""
    if client is None:
        time.sleep(within_s)
        return False
    waiting = select.poll()
    waiting.register(client, select.POLLRDHUP)
    return bool(waiting.poll(within_s * 1000))


def _stream(told: Listening, has_gone: Callable[[float], bool]) -> HttpResponseBase:
    """Server-sent events (WHATWG HTML §9.2); JSON has no line end of its own."""
    pieces = (
        KEEP_ALIVE if message is None else b"event: message\ndata: " + message + b"\n\n"
        for message in told.follow(has_gone)
    )
    response = StreamingHttpResponse(
        Pieces(pieces, listens, told.holders), content_type=EVENT_STREAM
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would collect the pieces
    return response


def _say(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> HttpResponse:
    return HttpResponse(body, status=status, content_type=_JSON)


def _refuse(refused: Refused) -> HttpResponse:
    response = problem(refused)
    if refused.status is HTTPStatus.UNAUTHORIZED:
        # Without `resource_metadata`: there is no authorization server whose discovery a client could begin.
        response["WWW-Authenticate"] = 'Bearer realm="syncproject"'
    return response


def _need_own_origin(request: HttpRequest) -> None:
    """A browser tells from where a page comes. Raises Refused."""
    origin = request.headers.get("Origin")
    if origin is None or origin in settings.CSRF_TRUSTED_ORIGINS:
        return
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        host = None
    if host is not None and validate_host(
        f"[{host}]" if ":" in host else host, settings.ALLOWED_HOSTS
    ):
        return
    raise Refused(
        HTTPStatus.FORBIDDEN, "The Origin is none of this server's: see CSRF_TRUSTED_ORIGINS."
    )


def _read_body(request: HttpRequest) -> bytes:
    """Raises Refused."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send Content-Type: {_JSON}.")
    length = request.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > BODY_MAX:
        raise _too_large()
    # Django takes a body without a length for none; gunicorn ends it where its last piece ends.
    source = request.environ["wsgi.input"] if _is_in_pieces(request) else request  # type: ignore[attr-defined]  # of WSGI
    try:
        body = bytes(source.read(BODY_MAX + 1))
    except OSError as exc:
        if exc.errno is not None:  # the client has gone
            raise
        raise Refused(
            HTTPStatus.BAD_REQUEST, "The body ended before its last piece came."
        ) from None
    if len(body) > BODY_MAX:
        raise _too_large()
    return body


def _is_in_pieces(request: HttpRequest) -> bool:
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def _too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {BODY_MAX >> 20} MiB, the most that is taken.",
    )

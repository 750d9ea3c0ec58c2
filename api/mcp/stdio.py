"""MCP over standard input and output: one JSON line a message, for a client that starts us as its own program.

The same methods as over HTTP, in the name of one token, which is looked at with every call: one that is revoked ends
nothing but the calls. Several calls are at work at a time; a subscription has a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import structlog
from django.db import close_old_connections, connection

from api.mcp.call import Call, encode_answer
from api.mcp.caller import McpCaller
from api.mcp.envelope import BODY_MAX, Message, read_message
from api.mcp.eras import is_modern_over_stdio
from api.mcp.errors import BUSY, INTERNAL_ERROR, INVALID_REQUEST, NO_TOKEN, RpcError
from api.mcp.methods import answer_call
from api.mcp.resources.listening import Listening
from api.rest.answers import Refused
from api.rest.throttling import take_turn
from database.away import RETRY_AFTER_S, WORDS, is_away
from workspaces.acting import Actor, Door, acting
from workspaces.places import listens
from workspaces.tokens import find_token, note_use

log = structlog.get_logger(__name__)

AT_ONCE = 8
_ASK_FOR_ONE = (
    "There is no live token: set SYNC_TOKEN in the environment of this command to one that"
    " `python manage.py create_token WORKSPACE --role ROLE` prints."
)


class Bridge:
    """`say` writes a line."""

    def __init__(self, token: str, say: Callable[[bytes], None]) -> None:
        self._token = token
        self._say_line = say
        self._saying = threading.Lock()
        self._ends: dict[str | int, threading.Event] = {}  # by request: the client ends it
        self._listeners: list[threading.Thread] = []

    def serve(self, source: BinaryIO) -> None:
        """Returns at the end of the input, when what was asked is answered."""
        with ThreadPoolExecutor(AT_ONCE, "call") as pool:
            while line := source.readline(BODY_MAX + 1):
                if len(line) > BODY_MAX and not line.endswith(b"\n"):
                    _skip_line(source)
                    self._refuse(
                        RpcError(INVALID_REQUEST, "The message is larger than 1 MiB"), None
                    )
                elif line.strip():
                    self._take(line, pool)
        for end in list(self._ends.values()):
            end.set()
        for listener in self._listeners:
            listener.join()

    def _take(self, line: bytes, pool: ThreadPoolExecutor) -> None:
        try:
            message = read_message(line)
        except RpcError as exc:
            self._refuse(exc, None)
            return
        if message.id is not None:
            pool.submit(self._answer, message, message.id)
        elif message.method == "notifications/cancelled":
            request_id = message.params.get("requestId")
            if isinstance(request_id, str | int):
                self._end_of(request_id).set()

    def _end_of(self, request_id: str | int) -> threading.Event:
        return self._ends.setdefault(request_id, threading.Event())

    def _answer(self, message: Message, request_id: str | int) -> None:
        close_old_connections()
        try:
            told = self._work(message)
            if isinstance(told, Listening):
                args = (told, request_id, self._end_of(request_id))
                listener = threading.Thread(target=self._tell, args=args)
                self._listeners.append(listener)
                listener.start()
            else:
                self._say(told)
        except RpcError as exc:
            self._refuse(exc, message.id)
        except Refused as exc:
            data = {"status": exc.status.value, "retry_after_s": exc.retry_after_s}
            self._refuse(RpcError(BUSY, str(exc), data=data), message.id)
        except Exception as exc:  # nobody else would tell the client, which waits
            if is_away(exc):
                data = {"status": 503, "retry_after_s": RETRY_AFTER_S}
                self._refuse(RpcError(BUSY, WORDS, data=data), message.id)
                return
            log.exception("mcp.call_failed", method=message.method)
            words = "This is an error of ours; standard error says more."
            self._refuse(RpcError(INTERNAL_ERROR, words), message.id)

    def _work(self, message: Message) -> bytes | Listening:
        """Raises RpcError, Refused."""
        token = find_token(self._token)
        if token is None:
            raise RpcError(NO_TOKEN, _ASK_FOR_ONE)
        note_use(token)
        caller = McpCaller(token)
        take_turn(f"token {caller.principal}")
        with acting(lambda: Actor(caller.name, Door.MCP)):
            told = answer_call(Call(caller, message, is_modern_over_stdio(message)))
        return told if isinstance(told, Listening) else encode_answer(message.id, result=told)

    def _tell(self, told: Listening, request_id: str | int, end: threading.Event) -> None:
        try:
            for line in told.follow(end.wait):
                if end.is_set():
                    return
                if line is not None:
                    self._say(line)
        finally:
            self._ends.pop(request_id, None)
            listens.give_back(told.holders)
            connection.close()

    def _refuse(self, exc: RpcError, request_id: str | int | None) -> None:
        error = {"code": exc.code, "message": str(exc)}
        if exc.data is not None:
            error["data"] = exc.data
        self._say(encode_answer(exc.request_id if request_id is None else request_id, error=error))

    def _say(self, line: bytes) -> None:
        with self._saying:
            self._say_line(line)


def _skip_line(source: BinaryIO) -> None:
    while (rest := source.readline(BODY_MAX)) and not rest.endswith(b"\n"):
        pass

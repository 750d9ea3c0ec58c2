"""An API whose answers a test writes: a function from the request to a body of JSON, or to an `Odd` one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from farends.rest.options import RestOptions, RestSecret
from farends.spec import Target
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http


@dataclass(frozen=True)
class Odd:
    """An answer as it goes out."""

    body: bytes = b""
    status: str = "200 OK"
    fields: tuple[str, ...] = ()
    framed: bool = True


@dataclass(frozen=True)
class Asked:
    path: str
    query: dict[str, str]
    fields: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))


@dataclass
class ScriptedApi:
    host: ScriptedHttp
    asked: list[Asked] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.host.port

    def target(
        self, *, secret: RestSecret | None = None, entities: dict[str, Any] | None = None, **options: Any
    ) -> Target:  # fmt: skip
        made = RestOptions(scheme="http", **options)
        return Target(
            "127.0.0.1",
            self.port,
            made,
            secret or RestSecret(),
            {} if entities is None else entities,
        )


@contextlib.contextmanager
def scripted_api(answer: Callable[[Asked], Any]) -> Iterator[ScriptedApi]:
    seen: list[Asked] = []

    def script(request: Request, conversation: Conversation) -> None:
        parts = urlsplit(request.target)
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), request.fields, request.body)
        seen.append(asked)
        said = answer(asked)
        if not isinstance(said, Odd):
            said = Odd(said if isinstance(said, bytes) else json.dumps(said).encode())
        if said.framed:
            conversation.answer(said.body, *said.fields, status=said.status)
        else:
            lines = [f"HTTP/1.0 {said.status}", *said.fields, "", ""]
            conversation.say("\r\n".join(lines).encode() + said.body)
            conversation.hang_up()

    with scripted_http(script) as host:
        yield ScriptedApi(host, seen)

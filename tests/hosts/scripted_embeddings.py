"""An embedding service with OpenAI's API and whatever habit a test gives it.

Its vectors are a function of the text alone, so a test can tell whose vector it got.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.hosts.scripted_http import Conversation, Request, scripted_http

DIMENSIONS = 16


def vector_of(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A direction that belongs to the text."""
    raw = hashlib.shake_128(text.encode()).digest(dimensions)
    return [byte / 128 - 1 + 1e-3 for byte in raw]


def listed(texts: Sequence[str], dimensions: int = DIMENSIONS) -> list[dict[str, Any]]:
    return [
        {"object": "embedding", "index": place, "embedding": vector_of(text, dimensions)}
        for place, text in enumerate(texts)
    ]


def answer_all(texts: Sequence[str], dimensions: int = DIMENSIONS) -> dict[str, Any]:
    return {"object": "list", "data": listed(texts, dimensions), "model": "scripted"}


def answer_base64(texts: Sequence[str]) -> dict[str, Any]:
    """As OpenAI does when it is asked for it."""
    answer = answer_all(texts)
    for item in answer["data"]:
        packed = struct.pack(f"<{DIMENSIONS}f", *item["embedding"])
        item["embedding"] = base64.b64encode(packed).decode()
    return answer


@dataclass(frozen=True)
class Refuses:
    """An answer that is no success."""

    status: str
    said: Any = None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Says:
    """A body as it goes out."""

    body: bytes


@dataclass(frozen=True)
class Hangs:
    """No answer comes; `drips`: one byte now and then."""

    drips: bool = False


Habit = Callable[[list[str]], Any]


@dataclass
class ScriptedEmbeddings:
    port: int
    habit: Habit = answer_all
    batches: list[list[str]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    asked: list[dict[str, Any]] = field(default_factory=list)
    got: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def texts(self) -> list[str]:
        return [text for batch in self.batches for text in batch]

    def wait_for_request(self, count: int, within_s: float = 60.0) -> None:
        with self.got:
            assert self.got.wait_for(lambda: len(self.batches) >= count, within_s)


@contextlib.contextmanager
def scripted_embeddings(habit: Habit = answer_all) -> Iterator[ScriptedEmbeddings]:
    service = ScriptedEmbeddings(0, habit)

    def script(request: Request, conversation: Conversation) -> None:
        assert (request.method, request.target) == ("POST", "/v1/embeddings")
        said = json.loads(request.body)
        texts = said["input"]
        with service.got:
            service.asked.append(said)
            service.batches.append(texts)
            service.keys.add(request.fields.get("authorization", ""))
            service.got.notify_all()
        _answer(service.habit(texts), conversation)

    with scripted_http(script) as host:
        service.port = host.port
        yield service


def _answer(answer: Any, conversation: Conversation) -> None:
    match answer:
        case Refuses():
            body = json.dumps({"error": {"message": answer.said}}).encode()
            conversation.answer(body, *answer.fields, status=answer.status)
        case Says():
            conversation.answer(answer.body)
        case Hangs():
            if answer.drips:
                conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{")
            while conversation.wait(0.2):
                if answer.drips:
                    conversation.say(b" ")
        case _:
            conversation.answer(json.dumps(answer).encode())

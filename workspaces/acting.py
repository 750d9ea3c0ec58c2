"""Remembers in whose name code runs. Each surface sets it when it lets somebody in; the audit trail reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import models


class Door(models.TextChoices):
    """The surface by which somebody came in."""

    API = "api", "REST"
    CONSOLE = "console"
    COMMAND = "command"
    MCP = "mcp", "MCP"
    SYSTEM = "system"  # nobody did: the platform itself


@dataclass(frozen=True, slots=True)
class Actor:
    """`name` as people know it: a user name, `token NAME`, or the machine's account of a shell."""

    name: str
    door: Door


_PLATFORM = Actor("platform", Door.SYSTEM)
_who: ContextVar[Callable[[], Actor]] = ContextVar("who", default=lambda: _PLATFORM)


@contextmanager
def acting(who: Callable[[], Actor]) -> Iterator[None]:
    """Sets who acts within the block. `who` is called when there is something to write, for only then is it needed."""
    before = _who.set(who)
    try:
        yield
    finally:
        _who.reset(before)


def actor_now() -> Actor:
    return _who.get()()

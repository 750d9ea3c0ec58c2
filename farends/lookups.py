"""Names looked up so that nobody waits for longer than they want: `getaddrinfo` itself cannot be stopped.

Each look-up has a thread of its own, and there are few of them; whoever asks for a name that is being looked
up already waits for that answer, so a name server that hangs holds one thread for each name.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from farends.addresses import Address, parse_address
from farends.errors import NameNotResolved

AT_ONCE = 64
_SLICE_S = 0.25

_lock = threading.Lock()
_asked: dict[str, Future[list[Address]]] = {}


def look_up(host: str, *, deadline: float, check: Callable[[], None]) -> list[Address]:
    """The addresses of a host in the resolver's order; until `deadline`, of `time.monotonic`.

    Raises NameNotResolved, which has a cause where the name has no address and none where nobody said in
    time, and what `check` raises, which is called several times a second.
    """
    try:
        return _numeric(host)
    except (OSError, ValueError):  # a name
        answer = _ask(host)
    answered = threading.Event()
    answer.add_done_callback(lambda _: answered.set())
    while not answered.wait(min(_SLICE_S, max(0.0, deadline - time.monotonic()))):
        check()
        if time.monotonic() >= deadline:
            raise NameNotResolved(f"{host}: the look-up of the name took too long")
    try:
        return list(answer.result())
    except (OSError, ValueError) as exc:  # UnicodeError is one
        raise NameNotResolved(f"{host}: the name has no address") from exc


def _numeric(host: str) -> list[Address]:
    """Reads an address in any spelling, without asking a resolver. Raises OSError, ValueError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return [parse_address(str(item[4][0])) for item in found]


def _ask(host: str) -> Future[list[Address]]:
    with _lock:
        answer = _asked.get(host)
        if answer is not None:
            return answer
        if len(_asked) >= AT_ONCE:
            raise NameNotResolved(f"{host}: {AT_ONCE} look-ups of other names are under way")
        answer = _asked[host] = Future()
    try:
        threading.Thread(
            target=_answer, args=(host, answer), name="farends.lookups", daemon=True
        ).start()
    except RuntimeError as exc:  # no thread can be started
        with _lock:
            _asked.pop(host, None)
        raise NameNotResolved(f"{host}: the look-up could not be begun: {exc}") from None
    return answer


def _answer(host: str, answer: Future[list[Address]]) -> None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        addresses = [parse_address(str(item[4][0])) for item in found]
    except BaseException as exc:  # noqa: BLE001 — carried to whoever waits, and raised there
        failed: BaseException | None = exc
    else:
        failed = None
    with _lock:  # whoever asks from now on asks again
        _asked.pop(host, None)
    if failed is None:
        answer.set_result(addresses)
    else:
        answer.set_exception(failed)

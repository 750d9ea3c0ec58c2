"""One connection to the first of a host's addresses that answers (RFC 8305, "Happy Eyeballs").

A few addresses, of both families in turn, each begun a moment after the one before: a dead one costs that
moment and not the whole time, and 24 dead ones behind one name cost no more than a few.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

from farends.addresses import Address

TRIED_MAX = 4
_NEXT_AFTER_S = 0.25  # RFC 8305 §5, "Connection Attempt Delay"


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """The families in turn, beginning with that of the first; a few of them."""
    first = [one for one in addresses if one.version == addresses[0].version]
    second = [one for one in addresses if one.version != addresses[0].version]
    pairs = chain.from_iterable(zip_longest(first, second))
    return [one for one in pairs if one is not None][:TRIED_MAX]


def connect_first(
    addresses: Sequence[Address],
    port: int,
    *,
    deadline: float,
    check: Callable[[], None],
    prepare: Callable[[socket.socket], None],
) -> socket.socket:
    """A connected socket that does not block; the others are closed.

    Raises the last address's OSError, TimeoutError at `deadline`, and what `check` raises.
    """
    waiting = deque(in_turn(addresses))
    under_way: list[socket.socket] = []
    failed: OSError = TimeoutError("timed out")
    next_at = 0.0
    try:
        while waiting or under_way:
            check()
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError("timed out")
            if waiting and (now >= next_at or not under_way):
                next_at = now + _NEXT_AFTER_S
                try:
                    under_way.append(_begin(waiting.popleft(), port, prepare))
                except OSError as exc:
                    failed = exc
            for made in _wait_for_any(under_way, min(_NEXT_AFTER_S, deadline - now)):
                under_way.remove(made)
                error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not error:
                    return made
                made.close()
                failed = OSError(error, os.strerror(error))
        raise failed
    finally:
        for made in under_way:
            made.close()


def _begin(address: Address, port: int, prepare: Callable[[socket.socket], None]) -> socket.socket:
    made = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
    try:
        made.setblocking(False)
        prepare(made)
        made.connect((str(address), port))
    except BlockingIOError:
        return made
    except BaseException:
        made.close()
        raise
    return made


def _wait_for_any(under_way: list[socket.socket], wait_s: float) -> list[socket.socket]:
    """Returns the sockets that are connected or have failed."""
    if not under_way:
        return []
    waiting = select.poll()
    for made in under_way:
        waiting.register(made, select.POLLOUT)
    ready = {number for number, _ in waiting.poll(max(0.0, wait_s) * 1000)}
    return [made for made in under_way if made.fileno() in ready]

"""Runs a blocking library call so that the caller can still be stopped within a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from farends.errors import Stalled

_T = TypeVar("_T")
_SLICE_S = 0.25


def run_watched(
    work: Callable[[], _T],
    *,
    check: Callable[[], None],
    cancel: Callable[[], None],
    limit_s: float,
    doing: str,
) -> _T:
    """The result of `work`, done in a thread of its own.

    When `check` raises, or after `limit_s`, `cancel` must make the work end; its thread is joined
    before the error leaves. Raises Stalled, and what the work or `check` raises.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:  # noqa: BLE001 — carried to the caller, who raises it
            future.set_exception(exc)

    thread = threading.Thread(target=run, name="farends.blocking", daemon=True)
    ended = threading.Event()
    future.add_done_callback(lambda _: ended.set())
    deadline = time.monotonic() + limit_s
    thread.start()
    try:
        while not ended.wait(_SLICE_S):
            check()
            _check_deadline(deadline, f"{doing} took longer than {limit_s:g} s")
    except BaseException:
        cancel()
        raise
    finally:
        thread.join()
    return future.result()


def _check_deadline(deadline: float, message: str) -> None:
    if time.monotonic() > deadline:
        raise Stalled(message)

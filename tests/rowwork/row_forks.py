"""A process that works on one record and is killed at a named point of it (SYNC_FAILPOINT), several a minute.

`python -m tests.rowwork.row_forks` has everything imported and nothing open; for each line that it reads, it forks a
child, waits for its end and says whether the child was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
import uuid
from dataclasses import replace
from typing import Any

from tests.answering import serve


def import_everything() -> None:
    """Once, for all children."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "syncproject.settings"
    django.setup()
    from farends.registry import get_spec

    get_spec("sql")


def answer(order: dict[str, Any]) -> dict[str, Any]:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(order)
            status = 0
        except BaseException:  # noqa: BLE001 — the child ends here, whatever it was
            traceback.print_exc()
        finally:
            os._exit(status)  # threads and sessions end as they stand
    how = wait_for(child, order.get("after_s"), order.get("crashes", child))
    if not os.WIFSIGNALED(how) and os.waitstatus_to_exitcode(how) != 0 and "crashes" not in order:
        raise RuntimeError(f"the work failed: {order}")
    return {"killed": os.WIFSIGNALED(how)}


def wait_for(child: int, after_s: float | None, victim: int) -> int:
    """How the child ended. After some seconds, if it is still at work, the victim is killed: the child itself, or a
    process of a server, which then loses all that was not committed."""
    ends_at = None if after_s is None else time.monotonic() + after_s
    while ends_at is not None:
        ended, how = os.waitpid(child, os.WNOHANG)
        if ended:
            return how
        if time.monotonic() >= ends_at:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            break
        time.sleep(0.002)
    return os.waitpid(child, 0)[1]


def work(order: dict[str, Any]) -> None:
    from django.conf import settings

    from farends.sql.postgresql import copying
    from syncjobs.attempt.execution import execute
    from syncjobs.leases.heart import Heart

    small = 4096  # a small table is then many chunks
    copying.CHUNK_BYTES = small  # type: ignore[attr-defined]  # as it is known there
    settings.SYNC = replace(settings.SYNC, failpoint=order["failpoint"])
    settings.DEBUG = True
    settings.OWN_LISTENERS = ()
    if order.get("between") or order.get("late_mark"):
        disturb(order.get("between"), late_mark=order["late_mark"])
    execute(uuid.UUID(order["record"]), Heart(f"fork {os.getpid()}"))


def disturb(between: list[str] | None, *, late_mark: bool) -> None:
    """A statement of the source commits when all is read, if there is one. `late_mark`: the mark is taken behind it, which is wrong."""
    import psycopg

    from farends.rows.contract import Reading
    from syncjobs.works.rows.reading import EntityReader, ReadResult

    read = EntityReader.read

    def disturbed(reader: EntityReader, reading: Reading, **given: Any) -> ReadResult:
        result = read(reader, reading, **given)
        if between is not None:
            url, statement = between
            with psycopg.connect(url, autocommit=True) as source:
                source.execute(statement.encode())
        if late_mark:
            mark = reader._source.begin(reading).mark
            assert mark is not None
            return replace(result, staged=replace(result.staged, mark=mark.to_json()))
        return result

    EntityReader.read = disturbed  # type: ignore[method-assign, assignment]  # within this child alone


if __name__ == "__main__":
    import_everything()
    serve(answer)

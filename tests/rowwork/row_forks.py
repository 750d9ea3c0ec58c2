"""A process that works on one record and is killed at a named point of it (SYNC_FAILPOINT), several a minute.

`python -m tests.rowwork.row_forks` has everything imported and nothing open; for each line that it reads, it forks a
child, waits for its end and says whether the child was killed.
"""

from __future__ import annotations

import os
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
    _, how = os.waitpid(child, 0)
    if not os.WIFSIGNALED(how) and os.waitstatus_to_exitcode(how) != 0:
        raise RuntimeError(f"the work failed: {order}")
    return {"killed": os.WIFSIGNALED(how)}


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
    if order["between"]:
        disturb(order["between"], late_mark=order["late_mark"])
    execute(uuid.UUID(order["record"]), Heart(f"fork {os.getpid()}"))


def disturb(between: list[str], *, late_mark: bool) -> None:
    """A statement of the source commits when all is read. `late_mark`: the mark is taken behind it, which is wrong."""
    import psycopg

    from farends.rows.contract import Reading
    from syncjobs.works.rows.reading import EntityReader, ReadResult

    read = EntityReader.read

    def disturbed(reader: EntityReader, reading: Reading, **given: Any) -> ReadResult:
        result = read(reader, reading, **given)
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

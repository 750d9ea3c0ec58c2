"""A sender that may be killed anywhere: it notes what was acknowledged, and sends the next bulk after it.

`python -m tests.outbox.kills.sender STREAM PREFIX LOG COUNT BULK PAUSE_S`
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.outbox.kills import failpoints  # noqa: F401 — its points lie in this process too
from tests.outbox.kills.checking import REJECTED_EVERY, key_name


def main() -> None:
    from django.db import Error as DatabaseError
    from django.db import connection

    from outbox import intake
    from outbox.models import Stream

    stream_id, prefix, log, count, bulk, pause_s = sys.argv[1:]
    path = Path(log)
    stream: Stream | None = None
    first = _next_number(path)
    while first < int(count):
        size = random.Random(f"{prefix}{first}").randint(1, int(bulk))  # noqa: S311 — the same again
        last = min(int(count), first + size) - 1
        try:
            stream = stream or Stream.objects.get(pk=stream_id)
            intake.take(stream, [_reading(prefix, number) for number in range(first, last + 1)])
        except DatabaseError:
            connection.close()
            time.sleep(0.1)
            continue  # the same bulk, whatever became of it
        with path.open("a", encoding="ascii") as acknowledged:
            acknowledged.write(f"{first} {last}\n")
        first = last + 1
        time.sleep(float(pause_s))


def _next_number(path: Path) -> int:
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return int(lines[-1].split()[1]) + 1 if lines else 0


def _reading(prefix: str, number: int) -> dict[str, Any]:
    payload: dict[str, Any] = {"kWh": number / 10, "at": "2026-11-28T10:00:00Z", "state": "good"}
    if number % REJECTED_EVERY == 0:
        payload["reject"] = "no such meter"
    return {"key": key_name(prefix, number), "payload": payload}


if __name__ == "__main__":
    main()

"""Turns the ring of slots again and again: `python -m tests.outbox.kills.turner EVERY_S`."""

from __future__ import annotations

import sys
import time

from tests.outbox.kills import failpoints  # noqa: F401 — its points lie in this process too


def main() -> None:
    from django.db import Error as DatabaseError
    from django.db import connection

    from outbox import ring

    while True:
        time.sleep(float(sys.argv[1]))
        try:
            ring.turn_ring(after_s=0, keep_s=0)
        except DatabaseError:
            connection.close()


if __name__ == "__main__":
    main()

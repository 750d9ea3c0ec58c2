"""`python -m embedded.alive PART`: the health check of a container, once a minute in each. It asks the database one
question and loads neither Django's applications nor their models.

Exit status 1 where this host's process has not told of itself for SYNC_SILENT_SECONDS, or never. 0 also while
PostgreSQL does not answer, has just started or takes no writes: no process can tell of itself then.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

import psycopg

from embedded import options
from embedded.errors import StackError
from embedded.variables import Variables
from embedded.watchdog import open_short_session

PARTS = ("worker", "index", "beat", "web")
_QUESTION = """
SELECT extract(epoch FROM now() - max(seen_at))::float,
       extract(epoch FROM now() - pg_postmaster_start_time())::float,
       current_setting('transaction_read_only') = 'off'
  FROM syncjobs_processsign WHERE part = %s AND host = %s
"""


def check_part(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        given = Variables(environment)
        database_url, silent_s = given.find("DATABASE_URL"), options.read_silent_s(given)
    except StackError as error:
        return _tell(str(error), 2)
    if len(argv) != 1 or argv[0] not in PARTS or database_url is None:
        return _tell(f"usage: python -m embedded.alive {'|'.join(PARTS)}, with DATABASE_URL set", 2)
    return _judge(argv[0], database_url, silent_s)


def _judge(part: str, database_url: str, limit_s: float) -> int:
    try:
        with closing(open_short_session(database_url)) as session:
            row = session.execute(_QUESTION, [part, socket.gethostname()]).fetchone()
    except psycopg.Error as exc:
        return _tell(f"nothing can be told: {str(exc).splitlines()[0]}", 0)
    silent_s, up_s, writable = row or (None, 0.0, False)
    if not writable or up_s < limit_s:
        return _tell("nothing can be told: PostgreSQL takes no writes, or has just started", 0)
    if silent_s is None:
        return _tell(f"no {part} process of this host has told of itself", 1)
    if silent_s > limit_s:
        return _tell(f"the {part} process has been silent for {silent_s:.0f} s", 1)
    return _tell(f"alive: it told of itself {silent_s:.0f} s ago", 0)


def _tell(words: str, status: int) -> int:
    sys.stdout.write(f"{words}\n")
    return status


if __name__ == "__main__":
    sys.exit(check_part(sys.argv[1:], os.environ))

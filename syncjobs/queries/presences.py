"""Reads how long the processes of one host have been silent, by the database's clock."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from django.db import connection

from database.rows import fetch_rows

_LOOK = """
SELECT extract(epoch FROM now() - max(seen_at))::float AS silent_s,
       extract(epoch FROM now() - pg_postmaster_start_time())::float AS up_s,
       current_setting('transaction_read_only') = 'off' AS writable
  FROM syncjobs_processsign WHERE part = %s AND host = %s
"""


@dataclass(frozen=True, slots=True)
class Silence:
    """`silent_s` of the process that told of itself last, None where none ever did."""

    silent_s: float | None
    up_s: float  # the database server: before, nobody could tell of himself
    writable: bool


def read_silence(part: str) -> Silence:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [part, socket.gethostname()])
        [silence] = fetch_rows(cursor, Silence)
    return silence

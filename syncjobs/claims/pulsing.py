"""Writes signs of life of the parts that must never stand still, one row each, by the database's clock.

A queue's canary is a bell that has to be answered here: a worker that is up and no longer consumes, as
happens after a broker's reconnect, is seen by nothing else. The row `rung:QUEUE` says when the oldest
bell that nobody has answered was rung, `queue:QUEUE` when a worker last answered one; so a beat that
stands still, which rings for nobody, does not make the workers look deaf.
"""

from __future__ import annotations

from django.db import connection

BEAT = "beat"  # beat's tick, once what was due is dispatched
REAPER = "reaper"
PREPARED = "prepared"  # the stack is starting: what was seen before says nothing of now

_PULSE = """
INSERT INTO syncjobs_pulse AS p (part, at, holder) VALUES (%s, now(), %s)
ON CONFLICT (part) DO UPDATE SET at = excluded.at, holder = excluded.holder
 WHERE p.at < now() - make_interval(secs => %s)
"""
_RING = """
INSERT INTO syncjobs_pulse AS p (part, at, holder) VALUES (%(rung)s, now(), %(holder)s)
ON CONFLICT (part) DO UPDATE SET at = excluded.at, holder = excluded.holder
 WHERE p.at <= (SELECT a.at FROM syncjobs_pulse a WHERE a.part = %(answered)s)
"""


def name_answer(queue: str) -> str:
    return f"queue:{queue}"


def name_request(queue: str) -> str:
    return f"rung:{queue}"


def note_pulse(part: str, *, holder: str, at_most_every_s: float = 0) -> None:
    """The part lives; nothing is written where one was noted less than `at_most_every_s` ago."""
    with connection.cursor() as cursor:
        cursor.execute(_PULSE, [part, holder[:100], at_most_every_s])


def note_canary_rung(queue: str, *, holder: str) -> None:
    """Notes a test message; call it before the message is sent. An unanswered one keeps its time."""
    words = {"rung": name_request(queue), "answered": name_answer(queue), "holder": holder[:100]}
    with connection.cursor() as cursor:
        cursor.execute(_RING, words)


def note_canary_answered(queue: str, *, holder: str) -> None:
    note_pulse(name_answer(queue), holder=holder)

"""What waits for a person after a restore, on this host. `datasets.installation` tells why."""

from __future__ import annotations

from django.db import connection

from datasets.installation import HALT_WORDS, Halt, Known, find_halt, read_known

WHAT_TO_DO = "manage.py resume_after_restore"


def read_installation() -> Known | None:
    """Returns None before the first start."""
    with connection.cursor() as cursor:
        return read_known(cursor)


def find_halt_here() -> Halt | None:
    """Returns None if this host may do everything."""
    return find_halt(read_installation())


def halt_words(halt: Halt) -> str:
    return f"a person, with {WHAT_TO_DO}: {HALT_WORDS[halt]}"

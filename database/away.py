"""Tells a database that cannot be reached from one that refuses a statement."""

from __future__ import annotations

import psycopg
from django.db import InterfaceError, OperationalError

LOST = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
WORDS = "The database does not answer just now: ask again. GET /health says what is missing."
RETRY_AFTER_S = 5

# Connection exceptions, and a server that is stopped or starts (PostgreSQL, Appendix A).
_STATES = ("08", "57P")


def is_away(exc: BaseException | None) -> bool:
    """Whether the database could not be reached; what was sent may be sent again, once it is back."""
    if not isinstance(exc, LOST):
        return False
    state = find_sqlstate(exc)
    return state is None or state.startswith(_STATES)


def find_sqlstate(exc: BaseException) -> str | None:
    """The code of the server's error, five characters; None where no server has answered."""
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    state: str | None = getattr(cause, "sqlstate", None)
    return state

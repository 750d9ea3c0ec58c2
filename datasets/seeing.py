"""Says what this process sees in place of the store. A disk that hangs does not block the caller."""

from __future__ import annotations

import uuid
from enum import StrEnum

from django.conf import settings

from store.errors import StoreError, StoreMissing
from store.looking import Look
from store.sentinel import read_store_id

WITHIN_S = 1.0


class StoreState(StrEnum):
    RIGHT = "ok"
    MISSING = "not mounted"
    FOREIGN = "another store"
    SILENT = "no answer"
    UNREADABLE = "unreadable"
    UNKNOWN = "not prepared"  # the database knows none


def see_store() -> uuid.UUID | None:
    """The id of the store that is here; None where none is, or its disk does not answer."""
    try:
        return _look.wait(_look.begin())
    except (StoreError, OSError):  # TimeoutError is one
        return None


def judge_store(known: uuid.UUID | None) -> StoreState:
    """Whether the store that is here is the one that the database knows."""
    try:
        found = _look.wait(_look.begin())
    except StoreMissing:
        return StoreState.MISSING
    except TimeoutError:
        return StoreState.SILENT
    except (StoreError, OSError):
        return StoreState.UNREADABLE
    if known is None:
        return StoreState.UNKNOWN
    return StoreState.RIGHT if found == known else StoreState.FOREIGN


_look = Look("store", lambda: read_store_id(settings.STORE_ROOT), within_s=WITHIN_S)

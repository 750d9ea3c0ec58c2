"""The store of this installation: which one it is, and whether this process sees it.

The sentinel file in the store, the database, and the row in which each process tells of itself hold the
same id. So a disk that is not mounted here, or another one in its place, is noticed before anything is
read from it or written to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from enum import StrEnum

from django.conf import settings
from django.db import connection, transaction

from datasets.blobs import BlobStore
from datasets.catalog import Connection
from datasets.errors import StoreError, StoreMissing
from datasets.looking import Look
from datasets.models import Installation
from datasets.places import Places
from datasets.sentinel import read_store_id, write_store_id

WITHIN_S = 1.0


class StoreState(StrEnum):
    """What a process finds where its store should be."""

    RIGHT = "ok"
    MISSING = "not mounted"
    FOREIGN = "another store"
    SILENT = "no answer"
    UNREADABLE = "unreadable"
    UNKNOWN = "not prepared"  # the database knows none


def open_store(
    workspace_id: uuid.UUID, connect: Callable[[], Connection] | None = None
) -> BlobStore:
    """The workspace's blobs; a worker stores over a session of its own, others look up over Django's."""
    if connect is None:
        places = Places(workspace_id)
    else:
        places = Places(workspace_id, lambda: connect().cursor())
    return BlobStore(settings.STORE_ROOT, workspace_id, places, find_known_store)


def find_known_store() -> uuid.UUID | None:
    """The id that the database knows; None before the first start."""
    return Installation.objects.values_list("store_id", flat=True).first()


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


def ensure_store() -> StoreState:
    """What is found here. Where the database knows no store yet it knows this folder from now on, which
    becomes one if it is none: only at a first start, so that no disk is ever made up for by its mount point."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_KNOW)
        row = Installation.objects.select_for_update().get()
        if row.store_id is None:
            row.store_id = _find_or_make()
            row.save(update_fields=["store_id"])
    return judge_store(row.store_id)


def _find_or_make() -> uuid.UUID:
    """Raises StoreBroken, OSError."""
    try:
        found = read_store_id(settings.STORE_ROOT)
    except StoreMissing:
        found = None
    if found is None:
        write_store_id(settings.STORE_ROOT, found := uuid.uuid4())
    return found


_KNOW = """
INSERT INTO datasets_installation (id, name, place) VALUES (1, gen_random_uuid(), '')
ON CONFLICT (id) DO NOTHING
"""
_look = Look("store", lambda: read_store_id(settings.STORE_ROOT), within_s=WITHIN_S)

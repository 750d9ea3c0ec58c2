"""The store of this installation: which one it is, how it comes to be known, and how it is opened.

The sentinel file in the store, the database, and the row in which each process tells of itself hold the
same id. So a disk that is not mounted here, or another one in its place, is noticed before anything is
read from it or written to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import connection, transaction

from datasets.catalog import Connection
from datasets.installation import PLACE, Remembered, remember
from datasets.models import Installation
from datasets.places import Places
from datasets.seeing import StoreState, judge_store
from store.blobs import BlobStore
from store.errors import BlobMissing, StoreBroken, StoreMissing
from store.sentinel import read_store_id, write_store_id
from workspaces.auditing import CHANGED, note

log = structlog.get_logger(__name__)

LOOKED_AT_EACH = 20  # contents of a dataset
LOOKED_AT = 2_000


class AdoptionRefused(Exception):
    """The folder lacks what the database has stored."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """The store that the database knows from now on. `looked_at` contents that it names were looked for."""

    store_id: uuid.UUID
    former_id: uuid.UUID | None
    looked_at: int
    missing: int

    @property
    def changed(self) -> bool:
        return self.store_id != self.former_id


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


def ensure_store() -> StoreState:
    """What is found here. A database without an installation begins one, and knows this folder from now on,
    which becomes a store if it is none: only then, so that no mount point ever stands in for its disk."""
    with transaction.atomic():
        row, is_new = _lock_installation()
        if row.store_id is None:
            found = _find_store()
            if found is None:
                write_store_id(settings.STORE_ROOT, found := uuid.uuid4())
            row.store_id = found
            row.save(update_fields=["store_id"])
    if is_new:
        remember(Remembered(row.name, row.noted_at))
    return judge_store(row.store_id)


def adopt_store(*, new_id: bool = False, incomplete: bool = False) -> Adopted:
    """The folder of this process becomes the store that the database knows; with `new_id` no copy of it
    elsewhere is that any more. Raises AdoptionRefused where contents are missing, unless `incomplete`,
    StoreBroken and OSError of the disk."""
    with transaction.atomic():
        row, _ = _lock_installation()
        former, found = row.store_id, _find_store()
        looked_at, missing = (
            (0, 0) if found is not None and found == former else _look_for_contents()
        )
        if missing and not incomplete:
            raise AdoptionRefused(
                f"{missing} of {looked_at} contents that versions name are not in {settings.STORE_ROOT}"
            )
        if found is None or new_id:
            write_store_id(settings.STORE_ROOT, found := uuid.uuid4())
        if found != former:
            row.store_id = found
            row.save(update_fields=["store_id"])
            note(row, CHANGED, {"store": [former and str(former), str(found)]})
            log.warning("store.adopted", store=str(found), missing=missing)
    return Adopted(found, former, looked_at, missing)


def _lock_installation() -> tuple[Installation, bool]:
    """The one row; and whether it is new."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN)
        is_new = cursor.rowcount == 1
    return Installation.objects.select_for_update().get(), is_new


def _find_store() -> uuid.UUID | None:
    """Returns None if the folder is none, or has no id. Raises StoreBroken."""
    try:
        return read_store_id(settings.STORE_ROOT)
    except StoreMissing:
        return None


def _look_for_contents() -> tuple[int, int]:
    """Some of what each dataset names now: how many were looked for, and how many of these are not here."""
    with connection.cursor() as cursor:
        cursor.execute(_SOME, [LOOKED_AT_EACH, LOOKED_AT])
        named: dict[uuid.UUID, set[bytes]] = {}
        for workspace_id, sha256 in cursor.fetchall():
            named.setdefault(workspace_id, set()).add(bytes(sha256))
    missing = sum(
        not _has(open_store(workspace_id), sha256)
        for workspace_id, digests in named.items()
        for sha256 in digests
    )
    return sum(map(len, named.values())), missing


def _has(store: BlobStore, sha256: bytes) -> bool:
    try:
        store.open(sha256).close()
    except BlobMissing:
        return False
    except OSError as exc:
        raise StoreBroken(f"{settings.STORE_ROOT} cannot be read: {exc.strerror}") from exc
    return True


_BEGIN = f"""
INSERT INTO datasets_installation (id, name, place) VALUES (1, gen_random_uuid(), {PLACE})
ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 — no word of it is anybody's
_SOME = """
SELECT d.workspace_id, e.sha256
  FROM datasets_dataset d CROSS JOIN LATERAL (
    SELECT sha256 FROM datasets_entry WHERE dataset_id = d.id AND until IS NULL LIMIT %s) e
 LIMIT %s
"""

"""The store that this installation is configured for."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.conf import settings

from datasets.blobs import BlobStore, create_store
from datasets.catalog import Connection
from datasets.places import Places


def open_store(
    workspace_id: uuid.UUID, connect: Callable[[], Connection] | None = None
) -> BlobStore:
    """The workspace's blobs; a worker stores over a session of its own, others look up over Django's."""
    if connect is None:
        places = Places(workspace_id)
    else:
        places = Places(workspace_id, lambda: connect().cursor())
    return BlobStore(settings.STORE_ROOT, workspace_id, places)


def ensure_store() -> None:
    """Makes the configured folder a store: done by a person's command, never by a sync (D04)."""
    create_store(settings.STORE_ROOT)

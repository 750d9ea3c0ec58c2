"""The store that this installation is configured for."""

from __future__ import annotations

import uuid

from django.conf import settings

from datasets.blobs import BlobStore, create_store
from datasets.places import Places


def open_store(workspace_id: uuid.UUID) -> BlobStore:
    """The workspace's blobs."""
    return BlobStore(settings.STORE_ROOT, workspace_id, Places(workspace_id))


def ensure_store() -> None:
    """Makes the configured folder a store: done by a person's command, never by a sync (D04)."""
    create_store(settings.STORE_ROOT)

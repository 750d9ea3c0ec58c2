"""The errors of the store.

StoreError
├── StoreAway                       this process does not have the installation's store; another may
│   ├── StoreMissing store_missing  the folder is no store: never sync into an unmounted one
│   └── StoreForeign store_foreign  it is another store
├── StoreReadOnly   store_read_only it cannot be written to
├── DiskFull        disk_full       no space or no inodes; waiting or a person helps
├── QuotaExceeded   quota_exceeded  the workspace would hold more than it may
├── BlobMissing     blob_missing    a held file's bytes are gone
├── BlobDamaged     blob_damaged    a held file's bytes are not what they were
│   └── BlobUnreadable  blob_unreadable   the disk cannot read them
└── StoreBroken     store_io        the disk reported an error
"""

from __future__ import annotations


class StoreError(Exception):
    """The store failed."""

    code = "store"
    retryable = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StoreAway(StoreError):
    """This process does not have the installation's store; another one may."""


class StoreMissing(StoreAway):
    """The store's folder has no sentinel file: it is not mounted."""

    code = "store_missing"


class StoreForeign(StoreAway):
    """The store's folder is another store than the one that the database knows."""

    code = "store_foreign"


class StoreReadOnly(StoreError):
    """The store's folder cannot be written to: its disk is mounted read-only, or belongs to another user."""

    code = "store_read_only"


class DiskFull(StoreError):
    """The disk of the store is full."""

    code = "disk_full"
    retryable = True


class QuotaExceeded(StoreError):
    """The workspace would hold more bytes than it may."""

    code = "quota_exceeded"


class BlobMissing(StoreError):
    """The bytes of a held file are gone from the store."""

    code = "blob_missing"


class BlobDamaged(StoreError):
    """The bytes of a held file are not what was stored."""

    code = "blob_damaged"


class BlobUnreadable(BlobDamaged):
    """The disk cannot read the bytes of a held file."""

    code = "blob_unreadable"


class StoreBroken(StoreError):
    """The disk of the store reported an error."""

    code = "store_io"
    retryable = True

"""Reads the sentinel file, which holds the id of a store.

A folder without this file is a disk that is not mounted. A folder with another id is another disk.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path

from store.errors import StoreBroken, StoreForeign, StoreMissing

SENTINEL = "SYNCPROJECT-STORE"
_ID = re.compile(r"^store ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$", re.MULTILINE)
_READ_MAX = 4096


def read_store_id(root: Path) -> uuid.UUID | None:
    """Returns None if the file names no id. Raises StoreMissing without the file, StoreBroken."""
    try:
        with (root / SENTINEL).open("rb") as file:
            text = file.read(_READ_MAX).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise StoreMissing(f"{root} has no {SENTINEL} file: is the disk mounted?") from None
    except OSError as exc:
        raise StoreBroken(f"{root} cannot be read: {exc.strerror or exc}") from exc
    found = _ID.search(text)
    return uuid.UUID(found[1]) if found else None


def write_store_id(root: Path, store_id: uuid.UUID) -> None:
    """Makes `root` the store of that id; there is no moment without a whole file. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True, mode=0o755)
    partial = root / f"{SENTINEL}.{uuid.uuid4().hex}"
    try:
        with partial.open("w", encoding="ascii") as file:
            file.write(f"blobs of SyncProject; do not edit\nstore {store_id}\n")
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.rename(root / SENTINEL)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def need_store(root: Path, known: uuid.UUID | None) -> None:
    """Raises StoreMissing, StoreForeign where the folder is not the store of that id, StoreBroken. Any
    store will do where none is known."""
    found = read_store_id(root)
    if known is not None and found != known:
        raise StoreForeign(f"{root} is {_name(found)}, and the database knows {_name(known)}")


def _name(store_id: uuid.UUID | None) -> str:
    return "a store without an id" if store_id is None else f"the store {store_id}"

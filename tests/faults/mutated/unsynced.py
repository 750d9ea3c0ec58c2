"""Mutant: the order of fsync is swapped. Blobs get their names and receipts first; the disk comes last."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from tests.faults.failpoints import app, mark_all_synced

__all__ = ["app"]


def install() -> None:
    from store import blobs, flushing, packs
    from syncjobs.engine.arriving import Keeper

    class _Os:
        """`os` as these modules see it: without fsync."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def fsync(self, fd: int) -> None:
            pass

    def sync_nothing(paths: Iterable[str]) -> None:
        pass

    keep = Keeper._keep

    def keep_then_sync(self: Keeper, arrived: Any, received: Any) -> None:
        keep(self, arrived, received)
        os.sync()
        mark_all_synced()

    for module in (packs, blobs, flushing):
        setattr(module, "os", _Os())  # noqa: B010 — a name that it imported
    flushing.flush_all = sync_nothing
    Keeper._keep = keep_then_sync  # type: ignore[method-assign]


install()

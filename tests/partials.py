"""Where the store looks for what an earlier attempt left: a FIFO there makes a call that never returns."""

from __future__ import annotations

import os
from pathlib import Path

from connectors.opening import open_transport
from farends.contract import RemoteEntry
from store.blobs import BlobStore
from syncjobs.core.comparing import far_clock
from syncjobs.engine.progress import Progress
from syncjobs.engine.receiving import StoreSink
from syncjobs.models import SyncJob


def partial_of(job: SyncJob, store: BlobStore) -> Path:
    """Where the store looks for bytes of the job's one file."""
    with_transport = open_transport(job.get_connector(), check=lambda: None)
    try:
        (entry,) = [item for item in with_transport.walk() if isinstance(item, RemoteEntry)]
    finally:
        with_transport.close()
    sink = StoreSink(
        store,
        attempt="test",
        source_of=lambda _: f"{job.dataset_id} {job.get_connector().endpoint}",
        began=far_clock((entry.modified_ns or 0) + 10**12, 0.0, 1.0),
        precision_ns=10**9,
        limit_bytes=None,
        progress=Progress(),
        check=lambda: None,
    )
    key = sink._identify(entry)
    partial: Path = store.partial_folder
    return partial / f"earlier-{key}-1"


def let_go(fifo: Path) -> None:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # nobody reads it
        pass

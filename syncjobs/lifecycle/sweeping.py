"""Clearing away what attempts left under way and nobody came back for."""

from __future__ import annotations

from datasets.store import open_store
from syncjobs.core.states import State
from syncjobs.lifecycle.claiming import Claim
from syncjobs.models import SyncRecord
from workspaces.models import Workspace

KEPT_S = 7 * 24 * 3600.0


def sweep_partials(older_than_s: float = KEPT_S) -> int:
    """Removes partial files and unfinished packs of that age that no running record writes; their
    count."""
    live = frozenset(
        Claim(record_id, dataset_id, token, "").attempt_name
        for record_id, dataset_id, token in SyncRecord.objects.filter(
            state=State.RUNNING
        ).values_list("pk", "job__dataset_id", "token")
    )
    stores = [
        open_store(workspace_id) for workspace_id in Workspace.objects.values_list("pk", flat=True)
    ]
    return sum(
        store.sweep_partial(live_attempts=live, older_than_s=older_than_s)
        + store.sweep_packs(older_than_s=older_than_s)
        for store in stores
    )

"""What the pages of one stream show; the first one is cheap enough to be asked every two seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.utils import timezone

from connectors.telling import tell_connectivity
from console.configuration_changes import ConfigurationChange, iter_changes
from outbox.contacts import current_configuration
from outbox.core.answers import TryOutcome
from outbox.figures import read_stats, read_status
from outbox.models import ClientConfiguration, Delivery, Stream, StreamContact

DELIVERIES_SHOWN = 8
DELIVERIES_PAGE = 50
CHANGES_SHOWN = 100
_TONES = {
    TryOutcome.DONE: "ok",
    TryOutcome.PARTLY: "warn",
    TryOutcome.LATER: "wait",
    TryOutcome.OFFLINE: "none",
}


def describe_stream(stream: Stream) -> dict[str, Any]:
    return {
        "stream": stream,
        "status": read_status(stream),
        "stats": read_stats(stream, 24),
        "connectivity": tell_connectivity(stream.client),
        "contact": StreamContact.objects.get(pk=stream.pk),
        "configuration": current_configuration(stream),
        "deliveries": find_deliveries(stream, None)[:DELIVERIES_SHOWN],
        "now": timezone.now(),
    }


def find_deliveries(stream: Stream, before: int | None) -> list[Delivery]:
    """One more than a page, the newest first; `before` is the id of the last one that was seen."""
    rows = Delivery.objects.filter(stream=stream).order_by("-pk")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: DELIVERIES_PAGE + 1])
    for delivery in found:
        delivery.tone = _TONES.get(TryOutcome(delivery.outcome), "bad")  # type: ignore[attr-defined]
    return found


def compare_configurations(
    chosen: ClientConfiguration, versions: Sequence[ClientConfiguration]
) -> dict[str, Any]:
    """A refused version was never used, so nothing is compared with it."""
    earlier = (one for one in versions if one.number < chosen.number and not one.refusal)
    before = next(earlier, None)
    changes: list[ConfigurationChange] = []
    if before is not None and chosen.content is not None:
        changes = list(islice(iter_changes(before.content, chosen.content), CHANGES_SHOWN + 1))
    return {
        "before": before,
        "changes": changes[:CHANGES_SHOWN],
        "more_changes": len(changes) > CHANGES_SHOWN,
        "text": None
        if chosen.content is None
        else json.dumps(chosen.content, ensure_ascii=False, indent=2, sort_keys=True),
    }

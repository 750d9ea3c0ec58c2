"""Pins a host key that a person has looked at and approved. Nothing pins a key silently."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from connectors.models import Connector
from farends.registry import SPECS
from workspaces import auditing


@dataclass(frozen=True, slots=True)
class Offer:
    """The key that a host showed in the last test, and the option that would pin it."""

    key: str
    option: str
    whose: str  # "host" or "jump host"


def find_offer(connector: Connector) -> Offer | None:
    """Returns None if nothing was offered that is not pinned already."""
    spec = SPECS.get(connector.kind)
    if spec is None:
        return None
    pins = spec.pins()
    for stage in connector.last_test or []:
        key, option = str(stage.get("offered") or ""), stage.get("option")
        if key and option in pins:
            offer = Offer(key, option, pins[option])
            return offer if key != connector.options.get(option) else None
    return None


def pin(connector: Connector, key: str) -> Offer | None:
    """Approves this key; None where it is not (or no longer) the one on offer."""
    with transaction.atomic():
        row = Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)
        offered = find_offer(row)
        if offered is None or offered.key != key:
            return None
        before = row.options.get(offered.option)
        row.options = {**row.options, offered.option: key}
        row.save(update_fields=["options", "updated_at"])
        auditing.note(row, "host key approved", {offered.option: [before, key]})
    return offered

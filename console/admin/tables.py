"""The page on which a person picks a table of a far end, sees its first rows, and goes on to a job for it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from connectors.models import Connector
from connectors.offers import OffersNoRows, list_offers, offers_rows, preview_offer
from console.admin.buttons import ButtonsAdmin
from console.calling import call_far_end
from console.words import NOTHING
from farends.errors import TransportError
from farends.registry import SPECS
from farends.rows.contract import CursorOrder, Entity, EntityKind
from syncjobs.models import SyncMode

LISTED = 100
ROWS = 20
_CELL_CHARACTERS = 60


def has_tables(connector: Connector) -> bool:
    return connector.kind in SPECS and offers_rows(connector)


def tables_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """`table` names one that was picked, `prefix` limits the list."""
    connector = page.get_object(request, str(pk))
    if not isinstance(connector, Connector) or not has_tables(connector):
        raise Http404
    if not page.has_operate_permission(request, connector):
        raise PermissionDenied
    named, prefix = (request.GET.get(name, "")[:1_000] for name in ("table", "prefix"))
    context = {
        **page.admin_site.each_context(request),
        "title": f"Tables of {connector}",
        "opts": page.opts,
        "connector": connector,
        "prefix": prefix,
        "chosen": None,
        "tables": [],
        "more": False,
    }
    context |= _ask(request, connector, named, named or prefix) or {}
    return TemplateResponse(request, "console/tables.html", context)


def _ask(
    request: HttpRequest, connector: Connector, named: str, prefix: str
) -> dict[str, Any] | None:
    def ask() -> dict[str, Any]:
        found, more = list_offers(connector, prefix, most=LISTED)
        chosen = next((entity for entity in found if entity.name == named), None)
        told: dict[str, Any] = {"tables": [_describe(entity) for entity in found], "more": more}
        if chosen is not None:
            told["chosen"] = _describe(chosen) | _look(connector, chosen)
        return told

    try:
        return call_far_end(request, connector, connector.workspace_id, ask)
    except (TransportError, OffersNoRows) as exc:
        messages.error(request, f"{connector}: {exc}.")
        return None


def _describe(entity: Entity) -> dict[str, Any]:
    cursor = entity.proposed_cursor
    return {
        "name": entity.name,
        "kind": entity.kind.value,
        "columns": entity.columns,
        "key": ", ".join(entity.key) or NOTHING,
        "key_from": entity.key_from.value,
        "cursor": NOTHING if cursor is None else cursor.field,
        "rows": entity.estimated_rows,
    }


def _look(connector: Connector, entity: Entity) -> dict[str, Any]:
    spec = entity.name if entity.kind is EntityKind.RESOURCE else entity.spec
    found = preview_offer(connector, spec, ROWS)
    sample = [[_shorten(cell) for cell in row] for row in found.rows]
    return {
        "columns": found.columns,
        "sample": sample,
        "complete": found.complete,
        "job_url": _job_url(connector, entity),
    }


def _job_url(connector: Connector, entity: Entity) -> str:
    """The form of a new job, filled in for this table."""
    cursor = entity.proposed_cursor
    fields = {
        "connector": str(connector.pk),
        "workspace": str(connector.workspace_id),
        "name": f"{connector.name[:50]}-{entity.name.rpartition('.')[2]}"[:100],
        "entity": json.dumps(
            entity.name if entity.kind is EntityKind.RESOURCE else dict(entity.spec)
        ),
        "sync_mode": SyncMode.INCREMENTAL if entity.key else SyncMode.FULL,
    }
    if not entity.key or cursor is None:
        fields |= {"sync_mode": SyncMode.FULL.value}
    else:
        fields |= {"cursor": json.dumps(_write(cursor))}
    return f"{reverse('admin:syncjobs_syncjob_add')}?{urlencode(fields)}"


def _write(cursor: CursorOrder) -> Any:
    return cursor.field if cursor.is_xmin or not cursor.param else {
        "field": cursor.field, "param": cursor.param, "format": cursor.format or "text",
    }  # fmt: skip


def _shorten(cell: str | None) -> str | None:
    if cell is None or len(cell) <= _CELL_CHARACTERS:
        return cell
    return f"{cell[: _CELL_CHARACTERS - 1]}…"

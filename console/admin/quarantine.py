"""The page of rows that a record could not load: they are read, sent again, as they are or with other values, or dropped."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import reverse

from console.admin.buttons import ButtonsAdmin
from console.admin.stream_views import read_number
from console.labels import find_page_url
from farends import names
from syncjobs.models import QuarantinedRow, QuarantineState, SyncRecord
from syncjobs.queueing.enqueueing import JobBusy, WorkspaceBusy
from syncjobs.queueing.redriving import NothingOpen, RedriveMisfit, send_again
from syncjobs.records.asking import ConnectorPaused

PAGE = 50


def quarantine_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    record = _get_record(page, request, pk)
    after = read_number(request, "after") or 0
    rows = QuarantinedRow.objects.filter(record=record, pk__gt=after)
    found = list(rows.order_by("pk")[: PAGE + 1])
    context = {
        **page.admin_site.each_context(request),
        "title": f"Quarantine of {record}",
        "opts": page.opts,
        "record": record,
        "rows": [_describe(row) for row in found[:PAGE]],
        "more": found[PAGE - 1].pk if len(found) > PAGE else None,
        "has_open": any(row.state == QuarantineState.OPEN for row in found),
        "may_redrive": page.has_operate_permission(request, record),
    }
    return TemplateResponse(request, "console/quarantine.html", context)


def send_again_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """One row, named by `row`, with the values that were typed, or all of them; `drop` names one to give up."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    record = _get_record(page, request, pk)
    if not page.has_operate_permission(request, record):
        raise PermissionDenied
    number, dropped = (_read(request.POST.get(name, "")) for name in ("row", "drop"))
    ids = [] if dropped else None if number is None else [number]
    try:
        values = {number: _read_values(request.POST.get("values", ""))} if number else {}
        given = {key: row for key, row in values.items() if row}
        again = send_again(
            record,
            by=str(request.user),
            ids=ids,
            values=given,
            drop=[dropped] if dropped else [],
        )
    except (
        NothingOpen,
        RedriveMisfit,
        ConnectorPaused,
        WorkspaceBusy,
        JobBusy,
        ValueError,
    ) as exc:
        messages.error(request, f"Nothing was sent: {exc}.")
        return HttpResponseRedirect(reverse("admin:syncjobs_syncrecord_quarantine", args=[pk]))
    messages.success(request, "Dropped." if dropped else "Queued: the rows are sent again.")
    return HttpResponseRedirect(find_page_url(again))


def _describe(row: QuarantinedRow) -> dict[str, Any]:
    raw = names.printable(bytes(row.raw).decode(errors="backslashreplace"), 400)
    key = ", ".join(f"{name} = {value}" for name, value in (row.key or {}).items())
    place = f"{row.path}:{row.line}" if row.path else key
    values = {row.column: (row.values or {}).get(row.column)} if row.column else {}
    return {
        "row": row,
        "place": place,
        "raw": raw,
        "is_open": row.state == QuarantineState.OPEN,
        "values": json.dumps(values, ensure_ascii=False) if values else "",
    }


def _read(text: str) -> int | None:
    """Raises Http404."""
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Http404
    return int(text) if text else None


def _read_values(text: str) -> dict[str, str | None]:
    """Raises ValueError."""
    if not text.strip():
        return {}
    given = json.loads(text)
    if not isinstance(given, dict) or not all(
        value is None or isinstance(value, str) for value in given.values()
    ):
        raise ValueError('give values as text, such as {"day": "2026-12-13"}')
    return given


def _get_record(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> SyncRecord:
    record = page.get_object(request, str(pk))
    if not isinstance(record, SyncRecord):
        raise Http404
    return record

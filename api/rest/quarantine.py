"""`…/sync-records/{record_id}/quarantine`: rows that could not be loaded, and what becomes of them."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import OPERATOR, VIEWER, caller_of
from api.rest.conflicts import conflict_with
from api.rest.finding import WorkspaceIn
from api.rest.numbered import NumberedQuery, take_numbered
from api.rest.records import get_record
from api.shapes.conflicts import tell_in_the_way
from api.shapes.quarantine import QuarantinePage, RowRedriveIn, tell_quarantined
from api.shapes.records import RecordOut, tell_record
from syncjobs.models import QuarantinedRow, QuarantineState
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.redriving import NothingOpen, RedriveMisfit, send_again
from syncjobs.records.asking import ConnectorPaused

router = Router(tags=["sync records"])


class QuarantineQuery(NumberedQuery):
    state: QuarantineState | None = None


@router.get("/{record_id}/quarantine", response={200: QuarantinePage, **REFUSALS}, auth=VIEWER)
def list_quarantine(
    request: HttpRequest,
    workspace: WorkspaceIn,
    record_id: uuid.UUID,
    query: Annotated[QuarantineQuery, Query()],
) -> dict[str, Any]:
    """Lists rows in the order in which they came to quarantine."""
    rows = QuarantinedRow.objects.filter(record_id=get_record(request, record_id).pk)
    if query.state is not None:
        rows = rows.filter(state=query.state)
    found, following = take_numbered(rows, query, "id")
    return {"items": [tell_quarantined(row) for row in found], "next": following}


@router.post(
    "/{record_id}/quarantine/redrive", response={202: RecordOut, **CONFLICTS}, auth=OPERATOR
)
def redrive_rows(
    request: HttpRequest, workspace: WorkspaceIn, record_id: uuid.UUID, body: RowRedriveIn
) -> Status[dict[str, Any]]:
    """Sends rows again, as they are or with other values, in a record of their own; the dropped ones are given up."""
    record = get_record(request, record_id)
    values = {int(number): row for number, row in body.values.items()}
    try:
        again = send_again(
            record, by=caller_of(request).name, ids=body.ids, values=values, drop=body.drop
        )
    except RedriveMisfit as exc:
        errors = {exc.field: [str(exc)]}
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=errors) from None
    except (NothingOpen, ConnectorPaused) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.", more=tell_in_the_way(record)) from None
    except (AlreadyQueued, JobBusy, WorkspaceBusy) as exc:
        raise conflict_with(str(exc), exc.record) from None
    return Status(202, tell_record(get_record(request, again.pk)))

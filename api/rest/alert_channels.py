"""`/api/workspaces/{workspace}/alert-channels`: where alerts are told."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Status

from alerts.configuration.channels import CHANNEL_FIELDS, delete_channel, write_channel
from alerts.configuration.refusals import AlertNameTaken, InvalidAlerting
from alerts.models import AlertChannel
from alerts.queries.rules import channels_of
from alerts.sending.testing import send_test
from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import ADMIN, OPERATOR, VIEWER, caller_of
from api.rest.calling import CALLED, calling
from api.rest.finding import WorkspaceIn, need_row
from api.rest.pages import BY_NAME, PageIn
from api.shapes.alerts import (
    ChannelChange,
    ChannelNew,
    ChannelOut,
    ChannelPage,
    ChannelReplacement,
    ChannelTestOut,
    tell_channel,
)

router = Router(tags=["alerts"])
ChannelIn = Annotated[str, Path(description="The channel's id or name.")]
_REPLACED = tuple(name for name in CHANNEL_FIELDS if name != "url")


@router.get("", response={200: ChannelPage, **REFUSALS}, auth=VIEWER)
def list_channels(request: HttpRequest, workspace: WorkspaceIn, page: PageIn) -> dict[str, Any]:
    """By name."""
    found, following = BY_NAME.take(channels_of(caller_of(request).workspace.pk), page)
    return {"items": [tell_channel(row) for row in found], "next": following}


@router.post("", response={201: ChannelOut, **CONFLICTS}, auth=ADMIN)
def create_channel(
    request: HttpRequest, workspace: WorkspaceIn, body: ChannelNew
) -> Status[dict[str, Any]]:
    """Nothing is sent yet: test it."""
    channel = AlertChannel(workspace=caller_of(request).workspace)
    return Status(201, _write(channel, body.written()))


@router.get("/{channel}", response={200: ChannelOut, **REFUSALS}, auth=VIEWER)
def read_channel(
    request: HttpRequest, workspace: WorkspaceIn, channel: ChannelIn
) -> dict[str, Any]:
    return tell_channel(_get_channel(request, channel))


@router.put("/{channel}", response={200: ChannelOut, **CONFLICTS}, auth=ADMIN)
def replace_channel(
    request: HttpRequest, workspace: WorkspaceIn, channel: ChannelIn, body: ChannelReplacement
) -> dict[str, Any]:
    """What is left out gets its default; a URL that is left out stays."""
    return _write(_get_channel(request, channel), dict.fromkeys(_REPLACED) | body.written())


@router.patch("/{channel}", response={200: ChannelOut, **CONFLICTS}, auth=ADMIN)
def change_channel(
    request: HttpRequest, workspace: WorkspaceIn, channel: ChannelIn, body: ChannelChange
) -> dict[str, Any]:
    """What is left out stays. Another URL takes a broken channel for mended."""
    return _write(_get_channel(request, channel), body.written())


@router.delete("/{channel}", response={204: None, **REFUSALS}, auth=ADMIN)
def remove_channel(
    request: HttpRequest, workspace: WorkspaceIn, channel: ChannelIn
) -> Status[None]:
    """What waits to be told there goes with it. Rules that named it alone tell all channels from then on."""
    delete_channel(_get_channel(request, channel))
    return Status(204, None)


@router.post("/{channel}/test", response={200: ChannelTestOut, **CALLED}, auth=OPERATOR)
def test_channel(
    request: HttpRequest, workspace: WorkspaceIn, channel: ChannelIn
) -> dict[str, Any]:
    """Sends a real message that is marked as a test, and waits up to 20 seconds. That it is not delivered is an answer
    too. A test that passes mends a broken channel."""
    found = _get_channel(request, channel)
    with calling(found.workspace):
        return asdict(send_test(found))


def _get_channel(request: HttpRequest, text: str) -> AlertChannel:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_row(channels_of(owner.pk), owner, text, "alert channel")


def _write(channel: AlertChannel, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return tell_channel(write_channel(channel, fields).channel)
    except InvalidAlerting as exc:
        more = {"code": exc.code} if exc.code else {}
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=exc.errors, more=more) from None
    except AlertNameTaken as exc:
        errors = {"name": ["This name is taken."]}
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.", errors=errors) from None

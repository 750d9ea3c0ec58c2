"""`/api/workspaces/{workspace}/settings`: what holds for all that the workspace does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from ninja import Router

from api.rest.answers import REFUSALS, not_found, refusal_of
from api.rest.callers import ADMIN, VIEWER, caller_of
from api.rest.finding import WorkspaceIn
from api.shapes.workspace import (
    SettingsChange,
    SettingsOut,
    SettingsReplacement,
    tell_settings,
)
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.yaml_in import write_settings
from workspaces.models import Workspace

router = Router(tags=["settings"])


@router.get("", response={200: SettingsOut, **REFUSALS}, auth=VIEWER)
def read_settings(request: HttpRequest, workspace: WorkspaceIn) -> SettingsOut:
    return tell_settings(caller_of(request).workspace)


@router.put("", response={200: SettingsOut, **REFUSALS}, auth=ADMIN)
def replace_settings(
    request: HttpRequest, workspace: WorkspaceIn, body: SettingsReplacement
) -> SettingsOut:
    """What is left out gets its default; a key that is left out stays, for the host that it was given for."""
    owner = caller_of(request).workspace
    return _write(owner, body.replacing(tell_settings(owner)))


@router.patch("", response={200: SettingsOut, **REFUSALS}, auth=ADMIN)
def change_settings(
    request: HttpRequest, workspace: WorkspaceIn, body: SettingsChange
) -> SettingsOut:
    """What is left out stays. The name stays too: programs call the workspace by it."""
    return _write(caller_of(request).workspace, body.written())


def _write(owner: Workspace, fields: Mapping[str, Any]) -> SettingsOut:
    """Raises Refused."""
    try:
        return tell_settings(write_settings(owner, fields))
    except InvalidConfiguration as exc:
        raise refusal_of(exc) from None
    except Workspace.DoesNotExist:
        raise not_found("workspace") from None

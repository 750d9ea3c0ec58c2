"""`/api/workspaces/{workspace}/settings`: what holds for all that the workspace does."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from api.rest.answers import REFUSALS, not_found, refusal_of
from api.rest.callers import ADMIN, VIEWER, caller_of
from api.rest.finding import WorkspaceIn
from api.shapes.workspace import SettingsChange, SettingsOut, tell_settings
from syncjobs.configuration.yaml_in import InvalidConfiguration, write_settings
from workspaces.models import Workspace

router = Router(tags=["settings"])


@router.get("", response={200: SettingsOut, **REFUSALS}, auth=VIEWER)
def read_settings(request: HttpRequest, workspace: WorkspaceIn) -> SettingsOut:
    return tell_settings(caller_of(request).workspace)


@router.patch("", response={200: SettingsOut, **REFUSALS}, auth=ADMIN)
def change_settings(
    request: HttpRequest, workspace: WorkspaceIn, body: SettingsChange
) -> SettingsOut:
    """What is left out stays. The name stays too: programs call the workspace by it."""
    try:
        return tell_settings(write_settings(caller_of(request).workspace, body.written()))
    except InvalidConfiguration as exc:
        raise refusal_of(exc) from None
    except Workspace.DoesNotExist:
        raise not_found("workspace") from None

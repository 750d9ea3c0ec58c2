"""`/api/workspaces/{workspace}/alert-rules`: when an alert opens, and who is told."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router, Status

from alerts.configuration.refusals import AlertNameTaken, InvalidAlerting
from alerts.configuration.rules import RULE_FIELDS, delete_rule, write_rule
from alerts.core.parameters import PARAMETERS
from alerts.models import AlertRule
from alerts.queries.rules import rules_of
from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import ADMIN, VIEWER, caller_of
from api.rest.finding import WorkspaceIn, need_row
from api.rest.pages import BY_NAME, PageIn
from api.shapes.alerts import (
    RuleChange,
    RuleNew,
    RuleOut,
    RulePage,
    RuleReplacement,
    tell_rule,
)

router = Router(tags=["alerts"])
RuleIn = Annotated[str, Path(description="The rule's id or name.")]


@router.get("", response={200: RulePage, **REFUSALS}, auth=VIEWER)
def list_rules(request: HttpRequest, workspace: WorkspaceIn, page: PageIn) -> dict[str, Any]:
    """By name."""
    found, following = BY_NAME.take(rules_of(caller_of(request).workspace.pk), page)
    return {"items": [tell_rule(row) for row in found], "next": following}


@router.post("", response={201: RuleOut, **CONFLICTS}, auth=ADMIN)
def create_rule(
    request: HttpRequest, workspace: WorkspaceIn, body: RuleNew
) -> Status[dict[str, Any]]:
    """It looks at what happens from now on."""
    return Status(201, _write(AlertRule(workspace=caller_of(request).workspace), body.written()))


@router.get("/{rule}", response={200: RuleOut, **REFUSALS}, auth=VIEWER)
def read_rule(request: HttpRequest, workspace: WorkspaceIn, rule: RuleIn) -> dict[str, Any]:
    return tell_rule(_get_rule(request, rule))


@router.put("/{rule}", response={200: RuleOut, **CONFLICTS}, auth=ADMIN)
def replace_rule(
    request: HttpRequest, workspace: WorkspaceIn, rule: RuleIn, body: RuleReplacement
) -> dict[str, Any]:
    """What is left out gets its default."""
    return _write(_get_rule(request, rule), dict.fromkeys(RULE_FIELDS) | body.written())


@router.patch("/{rule}", response={200: RuleOut, **CONFLICTS}, auth=ADMIN)
def change_rule(
    request: HttpRequest, workspace: WorkspaceIn, rule: RuleIn, body: RuleChange
) -> dict[str, Any]:
    """What is left out stays, each parameter for itself. A scope that is given takes the place of another."""
    return _write(_get_rule(request, rule), body.written())


@router.delete("/{rule}", response={204: None, **REFUSALS}, auth=ADMIN)
def remove_rule(request: HttpRequest, workspace: WorkspaceIn, rule: RuleIn) -> Status[None]:
    """Its alerts go with it."""
    delete_rule(_get_rule(request, rule))
    return Status(204, None)


def _get_rule(request: HttpRequest, text: str) -> AlertRule:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_row(rules_of(owner.pk), owner, text, "alert rule")


def _write(rule: AlertRule, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        written = write_rule(rule, fields).rule
    except InvalidAlerting as exc:
        errors = {
            f"params.{name}" if name in PARAMETERS else name: words
            for name, words in exc.errors.items()
        }
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=errors) from None
    except AlertNameTaken as exc:
        errors = {"name": ["This name is taken."]}
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.", errors=errors) from None
    return tell_rule(rules_of(written.workspace_id).get(pk=written.pk))

"""The sidebar: a person's daily pages first, the platform's own last."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from console import tenancy
from workspaces.models import Role, Workspace


def sections(request: HttpRequest) -> list[dict[str, Any]]:
    """What unfold's SIDEBAR.navigation calls."""
    if not tenancy.may(request, Role.VIEWER):
        return [{"items": [_item("Dashboard", "dashboard", "admin:index")]}]
    groups: list[dict[str, Any]] = [
        {
            "items": [
                *_choice(request),
                _item("Dashboard", "dashboard", "admin:index"),
                _page("Sync jobs", "sync", "syncjobs_syncjob"),
                _page("Sync records", "list_alt", "syncjobs_syncrecord"),
                _page("Streams", "outbox", "outbox_stream"),
            ]
        },
        {
            "title": "Data",
            "items": [
                _page("Connectors", "hub", "connectors_connector"),
                _page("Datasets", "database", "datasets_dataset"),
                _item("Search", "search", "console-search"),
                _page("Versions", "history", "datasets_version"),
            ],
        },
        {
            "title": "Access",
            "items": [
                _page("Workspaces", "domain", "workspaces_workspace"),
                _page("Members", "group", "workspaces_member"),
                *_invitations(request),
                _page("API tokens", "key", "workspaces_apitoken"),
                *_audit(request),
            ],
        },
    ]
    if tenancy.sees_all(request):
        groups.append(
            {
                "title": "Platform",
                "items": [
                    _page("Users", "person", "auth_user"),
                    _page("Groups", "groups", "auth_group"),
                    _page("Platform chores", "schedule", "django_celery_beat_periodictask"),
                    *_flower(),
                ],
            }
        )
    return [{"separator": True, "collapsible": False, **group} for group in groups]


def _audit(request: HttpRequest) -> list[dict[str, Any]]:
    may = tenancy.may(request, Role.ADMIN)
    return [_page("Audit trail", "policy", "workspaces_auditentry")] if may else []


def _invitations(request: HttpRequest) -> list[dict[str, Any]]:
    may = tenancy.may(request, Role.ADMIN)
    return [_page("Invitations", "mail", "workspaces_invitation")] if may else []


def _choice(request: HttpRequest) -> list[dict[str, Any]]:
    """Shown only to a person with several workspaces."""
    if tenancy.count_workspaces(request) < 2:
        return []
    chosen = tenancy.find_current_workspace(request)
    name = Workspace.objects.get(pk=chosen).name if chosen else None
    return [
        _item(
            f"Workspace: {name}" if name else "All workspaces",
            "swap_horiz",
            "admin:workspaces_workspace_choose",
        )
    ]


def _flower() -> list[dict[str, Any]]:
    url = getattr(settings, "FLOWER_URL", "")
    return (
        [{"title": "Flower", "icon": "local_florist", "link": url, "active": False}] if url else []
    )


def _page(title: str, icon: str, view: str) -> dict[str, Any]:
    return _item(title, icon, f"admin:{view}_changelist")


def _item(title: str, icon: str, view: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse(view)}

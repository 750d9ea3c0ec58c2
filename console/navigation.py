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
        return [{"items": [_item("Overview", "home", "admin:index", "o")]}]
    groups: list[dict[str, Any]] = [
        {
            "items": [
                *_choice(request),
                _item("Overview", "home", "admin:index", "o"),
                _page("Sync jobs", "run", "syncjobs_syncjob", "j"),
                _page("Sync records", "list", "syncjobs_syncrecord", "r"),
                _page("Alerts", "bell", "alerts_alert", "a"),
                _page("Streams", "send", "outbox_stream"),
            ]
        },
        {
            "title": "Data",
            "items": [
                _page("Connectors", "hub", "connectors_connector", "c"),
                _page("Datasets", "db", "datasets_dataset", "d"),
                _item("Search", "search", "console-search", "s"),
                _page("Versions", "back", "datasets_version"),
            ],
        },
        {
            "title": "Access",
            "items": [
                _page("Workspaces", "team", "workspaces_workspace"),
                _page("Members", "user", "workspaces_member"),
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
                    _page("Users", "user", "auth_user"),
                    _page("Groups", "team", "auth_group"),
                    _page("Platform chores", "clock", "django_celery_beat_periodictask"),
                    *_flower(),
                ],
            }
        )
    groups.append({"items": [_item("About", "info", "console-about")]})
    return [{"separator": True, "collapsible": False, **group} for group in groups]


def _audit(request: HttpRequest) -> list[dict[str, Any]]:
    may = tenancy.may(request, Role.ADMIN)
    return [_page("Audit trail", "eye", "workspaces_auditentry")] if may else []


def _invitations(request: HttpRequest) -> list[dict[str, Any]]:
    may = tenancy.may(request, Role.ADMIN)
    return [_page("Invitations", "send", "workspaces_invitation")] if may else []


def _choice(request: HttpRequest) -> list[dict[str, Any]]:
    """Shown only to a person with several workspaces."""
    if tenancy.count_workspaces(request) < 2:
        return []
    chosen = tenancy.find_current_workspace(request)
    name = Workspace.objects.get(pk=chosen).name if chosen else None
    return [
        _item(
            f"Workspace: {name}" if name else "All workspaces",
            "next",
            "admin:workspaces_workspace_choose",
        )
    ]


def _flower() -> list[dict[str, Any]]:
    url = getattr(settings, "FLOWER_URL", "")
    return [{"title": "Flower", "icon": "pulse", "link": url, "active": False}] if url else []


def _page(title: str, icon: str, view: str, key: str = "") -> dict[str, Any]:
    return _item(title, icon, f"admin:{view}_changelist", key)


def _item(title: str, icon: str, view: str, key: str = "") -> dict[str, Any]:
    """`key` leads here after `g`."""
    return {"title": title, "icon": icon, "link": reverse(view), "key": key}

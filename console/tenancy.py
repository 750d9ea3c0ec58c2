"""Limits the rows that a person sees: superusers see all, other staff those of their workspaces, by role."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.http import HttpRequest

from workspaces import choosing
from workspaces.models import Member, Role, Workspace

M = TypeVar("M", bound=Model)


def sees_all(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def find_roles(request: HttpRequest) -> dict[UUID, Role]:
    """The person's role in each of their workspaces; read once for each request."""
    found: dict[UUID, Role] | None = getattr(request, "console_roles", None)
    if found is None:
        found = {}
        if request.user.is_authenticated and request.user.is_active and request.user.is_staff:
            rows = Member.objects.filter(user=request.user.pk).values_list("workspace_id", "role")
            found = {workspace: Role(role) for workspace, role in rows}
        request.console_roles = found  # type: ignore[attr-defined]
    return found


def workspaces_where(request: HttpRequest, needed: Role) -> list[UUID]:
    """Workspaces in which the person has at least this role; meaningless for superusers."""
    return [workspace for workspace, role in find_roles(request).items() if role.covers(needed)]


def may(request: HttpRequest, needed: Role, workspace: UUID | None = None) -> bool:
    """Whether the person may act in this workspace; without one: in any."""
    if sees_all(request):
        return True
    allowed = workspaces_where(request, needed)
    return bool(allowed) if workspace is None else workspace in allowed


def find_current_workspace(request: HttpRequest) -> UUID | None:
    """The workspace that the person works in now; None: all of theirs. Looked up once for each request."""
    if not hasattr(request, "console_chosen"):
        found = choosing.find_chosen(request.session, request.user)
        request.console_chosen = found  # type: ignore[attr-defined]
    chosen: UUID | None = request.console_chosen  # type: ignore[attr-defined]
    return chosen


def count_workspaces(request: HttpRequest) -> int:
    """Counts the person's workspaces, up to two: whether there is a choice. Counted once for each request."""
    if not sees_all(request):
        return len(find_roles(request))
    if not hasattr(request, "console_workspace_count"):
        note_workspace_count(request, len(Workspace.objects.values_list("pk")[:2]))
    count: int = request.console_workspace_count  # type: ignore[attr-defined]
    return count


def note_workspace_count(request: HttpRequest, count: int) -> None:
    """For a page that has read the person's workspaces anyway."""
    request.console_workspace_count = count  # type: ignore[attr-defined]


def shows_one_workspace(request: HttpRequest) -> bool:
    """Whether each row of each list is the same workspace's, so that its name tells nothing."""
    return find_current_workspace(request) is not None or count_workspaces(request) < 2


def find_usual_workspace(request: HttpRequest, needed: Role) -> UUID | None:
    """Where something new belongs as long as nobody says otherwise: the chosen workspace, or the only one in which the person
    may make it. None: there are several."""
    chosen = find_current_workspace(request)
    if chosen is not None and may(request, needed, chosen):
        return chosen
    if sees_all(request):
        found = list(Workspace.objects.values_list("pk", flat=True)[:2])
    else:
        found = workspaces_where(request, needed)
    return found[0] if len(found) == 1 else None


def switch_workspace(request: HttpRequest, workspace: UUID | None) -> None:
    choosing.choose(request.session, request.user, workspace)


def narrow(request: HttpRequest, rows: QuerySet[M], *, path: str = "workspace") -> QuerySet[M]:
    """Returns the rows of the chosen workspace among those that the person may see: for lists. A page of
    another one of theirs opens all the same."""
    chosen = find_current_workspace(request)
    return rows if chosen is None else rows.filter(**{path: chosen})


def scope(
    request: HttpRequest,
    rows: QuerySet[M],
    *,
    path: str = "workspace",
    needed: Role = Role.VIEWER,
) -> QuerySet[M]:
    """The rows of the person's workspaces; `path` is the lookup that leads to the workspace."""
    if sees_all(request):
        return rows
    return rows.filter(**{f"{path}__in": workspaces_where(request, needed)})

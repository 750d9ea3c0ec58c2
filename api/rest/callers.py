"""Who calls: a program with a token of one workspace, or a person who is logged in and a member."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from importlib import import_module
from typing import Annotated, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from ninja import Query
from ninja.security.http import HttpAuthBase
from ninja.utils import check_csrf

from api.rest.answers import Refused, not_found
from api.rest.throttling import take_turn
from workspaces.choosing import find_chosen, find_role
from workspaces.lookup import find_workspace
from workspaces.models import ApiToken, Role, Workspace
from workspaces.tokens import find_token, is_live, note_use

_SAFE = ("GET", "HEAD", "OPTIONS")
_SEVERAL = (
    "There are several workspaces: say which one by ?workspace=NAME, or choose one in the console."
)

# Of the paths that name no workspace.
WorkspaceAsked = Annotated[
    str | None,
    Query(
        max_length=100,
        description="For a person: the id or name of a workspace. Else the one that they have chosen in the"
        " console, or the first that they became a member of. A token has its own.",
    ),
]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and in which workspace."""

    workspace: Workspace
    role: Role
    name: str  # as it stands in records and events
    is_still_let_in: Callable[
        [], bool
    ]  # asks the database: for what goes on after the request was let in


class Bearer(HttpAuthBase):
    """Lets those in who may do what `needed` may, in the workspace that the path names. Where it names none:
    in the token's, or in the one that a person gives by `?workspace=`, has chosen, or is a member of."""

    openapi_scheme = "bearer"
    openapi_description = "A token of one workspace: `python manage.py create_token WORKSPACE`."

    def __init__(self, needed: Role) -> None:
        super().__init__()
        self.needed = needed

    def __call__(self, request: HttpRequest) -> Caller:
        """Raises Refused."""
        named = _named_in(request)
        if request.headers.get("Authorization"):
            token = need_live_token(request)
            take_turn(f"token {token.pk}")
            caller = _by_token(token, named)
        else:
            caller = _by_session(request, named)
            take_turn(f"person {request.user.pk}")
        if not caller.role.covers(self.needed):
            raise too_low(caller.role, self.needed)
        return caller


VIEWER, OPERATOR, ADMIN = (Bearer(role) for role in Role)


def caller_of(request: HttpRequest) -> Caller:
    """Returns the caller of a request that `Bearer` let in."""
    caller: Any = request.auth  # type: ignore[attr-defined]  # ninja sets it
    if not isinstance(caller, Caller):
        raise TypeError("this route lets everybody in")
    return caller


def need_live_token(request: HttpRequest) -> ApiToken:
    """Raises Refused."""
    kind, _, word = request.headers.get("Authorization", "").partition(" ")
    token = find_token(word.strip()) if kind.lower() == "bearer" else None
    if token is None:
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "Give a live token: Authorization: Bearer TOKEN (create_token).",
        )
    note_use(token)
    return token


def too_low(role: Role, needed: Role) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, f"Your role is {role.value}; this needs {needed.value}.")


def _by_token(token: ApiToken, named: str | None) -> Caller:
    workspace = token.workspace
    if named is not None and named not in (workspace.name, str(workspace.pk)):
        raise not_found("workspace")
    return Caller(workspace, Role(token.role), f"token {token.name}", partial(is_live, token.pk))


def _by_session(request: HttpRequest, named: str | None) -> Caller:
    user = request.user
    if not user.is_authenticated or not user.is_active:
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "Give a live token: Authorization: Bearer TOKEN (create_token), or log in.",
        )
    if request.method not in _SAFE and check_csrf(request) is not None:
        raise Refused(HTTPStatus.FORBIDDEN, "The CSRF token is missing or wrong.")
    workspace = _choose_for(request) if named is None else find_workspace(named)
    role = None if workspace is None else find_role(user, workspace.pk)
    if workspace is None or role is None:
        raise not_found("workspace")
    still = partial(_still_in, request.session.session_key, user.pk, workspace.pk)
    return Caller(workspace, role, user.get_username(), still)


def _still_in(session_key: str | None, user_pk: Any, workspace_pk: uuid.UUID) -> bool:
    """Whether the person is logged in and a member."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    user = get_user_model()._default_manager.filter(pk=user_pk, is_active=True).first()
    if user is None or not store().exists(session_key):
        return False
    return find_role(user, workspace_pk) is not None


def _named_in(request: HttpRequest) -> str | None:
    in_path = request.resolver_match.kwargs if request.resolver_match else {}
    named = in_path.get("workspace") or request.GET.get("workspace")
    return None if named is None else str(named)


def _choose_for(request: HttpRequest) -> Workspace | None:
    """Chooses the workspace of a person who names none. Raises Refused if nobody can tell which."""
    user: Any = request.user
    chosen = find_chosen(request.session, user)
    rows = Workspace.objects.all()
    if chosen is not None:
        return rows.filter(pk=chosen).first()
    if not user.is_superuser:
        return rows.filter(members__user=user.pk).order_by("members__pk").first()
    found = list(rows[:2])
    if len(found) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, _SEVERAL, errors={"workspace": [_SEVERAL]})
    return found[0] if found else None

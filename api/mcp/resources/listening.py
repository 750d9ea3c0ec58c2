"""`subscriptions/listen`: tells of new versions as they are published, for as long as the client listens.

It looks at the numbers of the current versions once a second, and holds no session of the database meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from api.mcp.call import SERVER_INFO, Call, encode_json
from api.mcp.caller import McpCaller
from api.mcp.eras import META_SERVER_INFO
from api.mcp.errors import invalid_params
from api.mcp.resources.finding import file_datasets, find_addressed
from api.rest.answers import Refused
from datasets.models import Version
from workspaces.places import LISTENS_MAX, LISTENS_OF_TOKEN, NoPlace, listens

LOOK_S = 1.0
KEEP_ALIVE_S = 1.0  # a client that has gone without a word is noticed by the second
# A client that comes back at once, as those that change what they listen to, is here before its old place is free.
BACK_WITHIN_S = 1.0
RETRY_S = 10
URIS_MAX = 100
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@dataclass(frozen=True, slots=True)
class Listening:
    """`follow` yields messages in JSON; None: nothing new, say that the line is alive. It is given what waits so many seconds,
    or until the client has gone, and tells whether it has. `holders` have taken a place in `workspaces.places.listens`."""

    follow: Callable[[Callable[[float], bool]], Iterator[bytes | None]]
    holders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watched:
    """What a URI names that may change: of a file its digest, of a manifest the version."""

    uri: str
    state: str | None  # None: it is not there any more


def listen(call: Call) -> Listening:
    """Raises RpcError, and Refused where the places are taken."""
    wanted = call.message.params.get("notifications", {})
    uris = wanted.get("resourceSubscriptions", []) if isinstance(wanted, dict) else None
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise invalid_params("`notifications.resourceSubscriptions` must be a list of URIs")
    if len(uris) > URIS_MAX:
        raise invalid_params(f"{URIS_MAX} subscriptions are the most of one listener")
    wants_lists = wanted.get("resourcesListChanged", False)
    if not isinstance(wants_lists, bool):
        raise invalid_params("`notifications.resourcesListChanged` must be true or false")
    before = _look(call.caller, list(dict.fromkeys(uris)))
    following = [each.uri for each in before.watched if each.state is not None]
    honoured: dict[str, Any] = {"resourcesListChanged": True} if wants_lists else {}
    if uris:
        honoured["resourceSubscriptions"] = following
    holders = _take_place(call.caller)
    return Listening(partial(_follow, call, honoured, before), holders)


@dataclass(frozen=True, slots=True)
class SeenVersions:
    """How things stood at one look: versions by dataset, and the watched URIs."""

    numbers: Mapping[str, int]
    watched: list[Watched]


def _follow(
    call: Call, honoured: dict[str, Any], seen: SeenVersions, has_gone: Callable[[float], bool]
) -> Iterator[bytes | None]:
    """It ends with its time, when the client has gone, or at the next look after the token was revoked or has expired."""
    meta = {SUBSCRIPTION: call.message.id}
    ends_at = time.monotonic() + settings.SYNC.sse_max_s
    said_at = time.monotonic()
    yield _tell("notifications/subscriptions/acknowledged", meta, notifications=honoured)
    uris = honoured.get("resourceSubscriptions", [])
    while time.monotonic() < ends_at:
        if has_gone(LOOK_S):
            return
        try:
            if not call.caller.is_still_let_in():
                break
            now = _look(call.caller, uris)
        except (OperationalError, InterfaceError):  # the client comes again
            break
        finally:
            connection.close()
        news = list(_compare(seen, now, honoured))
        seen = now
        for method, params in news:
            said_at = time.monotonic()
            yield _tell(method, meta, **params)
        if time.monotonic() - said_at >= KEEP_ALIVE_S:
            said_at = time.monotonic()
            yield None
    result = {"resultType": "complete", "_meta": {**meta, META_SERVER_INFO: SERVER_INFO}}
    yield encode_json({"jsonrpc": "2.0", "id": call.message.id, "result": result})


def _compare(
    before: SeenVersions, now: SeenVersions, honoured: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    if honoured.get("resourcesListChanged") and before.numbers != now.numbers:
        yield "notifications/resources/list_changed", {}
    states = {each.uri: each.state for each in before.watched}
    for each in now.watched:
        if each.state != states.get(each.uri):
            yield "notifications/resources/updated", {"uri": each.uri}


def _look(caller: McpCaller, uris: list[str]) -> SeenVersions:
    current = Version.objects.filter(
        is_current=True, dataset__in=file_datasets(caller.workspace)
    ).values_list("dataset_id", "number")
    numbers = {str(dataset_id): number for dataset_id, number in current}
    return SeenVersions(numbers, [Watched(uri, _state_of(caller, uri)) for uri in uris])


def _state_of(caller: McpCaller, uri: str) -> str | None:
    found = find_addressed(caller.workspace, uri)
    if found is None:
        return None
    return str(found.version.number) if found.entry is None else bytes(found.entry.sha256).hex()


def _take_place(caller: McpCaller) -> tuple[str, ...]:
    names = {caller.principal: LISTENS_OF_TOKEN}
    try:
        listens.take(LISTENS_MAX, names, within_s=BACK_WITHIN_S)
    except NoPlace as full:
        whose = "This token listens already" if full.ours else f"{full.most} listen here already"
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS, f"{whose}: end that first.", retry_after_s=RETRY_S
        ) from None
    return tuple(names)


def _tell(method: str, meta: dict[str, Any], **params: Any) -> bytes:
    return encode_json({"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}})

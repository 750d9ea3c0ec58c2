"""`Idempotency-Key`: a POST that is sent again, because its answer was lost, is done once.

The effect and the kept answer are one transaction: no crash leaves one without the other. What was refused keeps
nothing, and may be tried again with the same key. A key is its caller's own, and holds for a day
(draft-ietf-httpapi-idempotency-key-header-07).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.http import HttpRequest
from ninja import Status
from pydantic import TypeAdapter

from api.rest.answers import Refused
from api.rest.bodies import read_body_for
from workspaces.answers import find_answer, keep_answer
from workspaces.models import KeptAnswer

HEADER = "Idempotency-Key"
PATTERN = r"^[!-~]{1,255}$"
# Their answers are not kept: two hold a token, and the others tell how a far end is at that moment.
NOT_KEPT = {
    "api_tokens_make_token",
    "api_invitations_invite_person",
    "api_connectors_test_connection",
    "api_connectors_check_connectivity",
    "api_alert_channels_test_channel",
    "api_outbox_streams_beat_now",
    "api_outbox_streams_download_now",
    "api_outbox_streams_reconcile_stream",
}

PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 255, "pattern": PATTERN},
    "description": "Any text of your own, another for each thing to be done. Sent again with the same one within a"
    " day, the request is answered as the first time, and nothing is done.",
}
_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_MISUSED = "This Idempotency-Key was given with another request: take a new one for this."
_AT_WORK = "The first request of this Idempotency-Key is still at work: ask again in a second."
_NO_TEXT = "Idempotency-Key: give up to 255 letters, digits and signs, without blanks."
_REFUSED = (
    "This request takes no Idempotency-Key, for its answer is not kept: leave the header out."
)


def name_of(view: Callable[..., Any]) -> str:
    """Returns the name of an operation, as the document has it. It stays the same wherever the view's module stands."""
    module = view.__module__.rpartition(".")[2]
    return f"api_{module}_{view.__name__}"


def once(view: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps every operation; does nothing unless the header is there."""
    name = name_of(view)

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        key = request.headers.get(HEADER)
        if key is None or request.method != "POST":
            return view(request, *args, **kwargs)
        if name in NOT_KEPT:
            raise takes_no_key()
        with transaction.atomic():
            return _answer(
                _owner(request),
                key,
                request.get_full_path(),
                read_body_for(view, request),
                lambda: view(request, *args, **kwargs),
            )

    return answer


def _answer(owner: str, key: str, path: str, body: bytes, work: Callable[[], Any]) -> Any:
    asked = Keyed(owner, key, (path, body.decode("utf-8", "replace")))
    kept = asked.find_kept()
    if kept is None:
        told = work()
        status, body = (told.status_code, told.value) if isinstance(told, Status) else (200, told)
        asked.keep(status, _plain(body))
        return told
    return Status(kept.status, kept.body)


@dataclass(frozen=True, slots=True)
class Keyed:
    """A request with a key, within the transaction of its effect. `owner` is who gave the key; `request` is all that makes
    it another request."""

    owner: str
    key: str
    request: tuple[str, ...]

    def find_kept(self) -> KeptAnswer | None:
        """Nobody else works with this key until the transaction ends. Raises Refused."""
        if not re.fullmatch(PATTERN, self.key):
            raise _bad(_NO_TEXT)
        if not _lock(self._pk):
            raise Refused(HTTPStatus.CONFLICT, _AT_WORK)
        kept = find_answer(self._pk)
        if kept is not None and kept.request != _digest(*self.request):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, _MISUSED)
        return kept

    def keep(self, status: int, body: Any) -> None:
        keep_answer(self._pk, _digest(*self.request), status, body)

    @property
    def _pk(self) -> str:
        return _digest(self.owner, self.key)


def takes_no_key() -> Refused:
    """The refusal of a key where the answer is not kept."""
    return _bad(_REFUSED)


def _plain(body: Any) -> Any:
    """Returns an answer as the column holds it, shapes and values within it too."""
    return _ANY.dump_python(body, mode="json", fallback=DjangoJSONEncoder().default)


def _owner(request: HttpRequest) -> str:
    caller: Any = request.auth  # type: ignore[attr-defined]  # whom a door of `api.rest.callers` let in
    return f"{caller.workspace.pk if caller.workspace else ''} {caller.name}"


def _lock(pk: str) -> bool:
    """Until the transaction ends; False where another request holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [pk])
        return bool(cursor.fetchone()[0])


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _bad(words: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, words, errors={HEADER: [words]})

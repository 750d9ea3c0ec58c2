"""A stream's written form, as REST and YAML have it, becomes a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from connectors.models import Connector
from outbox.models import Stream
from outbox.streams import CLIENT_KIND, EDITABLE, save_stream
from workspaces.lookup import find_by_name, find_row
from workspaces.models import Workspace

FIELDS = EDITABLE  # `client` is the id or the name of a connector


class InvalidStream(Exception):
    """Nothing was written. `errors` are words by field."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(words)}" for name, words in errors.items()))
        self.errors = dict(errors)


class StreamNameTaken(Exception):
    """The workspace has a stream of this name."""


@dataclass(frozen=True, slots=True)
class WrittenStream:
    """`changed` names the fields that a stored one got anew."""

    stream: Stream
    changed: tuple[str, ...]


@transaction.atomic
def write_stream(stream: Stream, fields: Mapping[str, Any]) -> WrittenStream:
    """Gives a new or stored stream the fields of its written form. A field that is not named stays; null is the
    default. Raises InvalidStream, StreamNameTaken, and IntegrityError where the name was taken at that moment."""
    is_new = stream._state.adding
    before = {name: getattr(stream, _column_of(name), None) for name in FIELDS}
    for name in FIELDS:
        if name in fields and name != "client":
            value = fields[name]
            setattr(stream, name, _default_of(name) if value is None else value)
    if "client" in fields:
        stream.client = _need_client(stream.workspace, str(fields["client"]))
    elif is_new:
        raise InvalidStream({"client": [_NEEDED]})
    _clean(stream)
    changed = tuple(name for name in FIELDS if getattr(stream, _column_of(name)) != before[name])
    if not is_new and not changed:
        return WrittenStream(stream, ())
    if "name" in changed or is_new:
        others = Stream.objects.exclude(pk=stream.pk)
        if find_by_name(others, stream.workspace, stream.name) is not None:
            raise StreamNameTaken(f"There is a stream {stream.name} in this workspace already")
    try:
        return WrittenStream(save_stream(stream), changed)
    except ValidationError as exc:
        raise InvalidStream(
            {name: list(words) for name, words in exc.message_dict.items()}
        ) from None


def _clean(stream: Stream) -> None:
    """Values get the types of their columns. Raises InvalidStream."""
    try:
        stream.clean_fields(exclude=["workspace", "client"])
    except ValidationError as exc:
        raise InvalidStream(
            {name: list(words) for name, words in exc.message_dict.items()}
        ) from None


_NEEDED = f"name a connector of kind {CLIENT_KIND}"


def _need_client(workspace: Workspace, called: str) -> Connector:
    found = find_row(Connector.objects.all(), workspace, called)
    if found is None:
        raise InvalidStream({"client": [f"no connector {called!r} in this workspace; {_NEEDED}"]})
    return found


def _column_of(name: str) -> str:
    return "client_id" if name == "client" else name


def _default_of(name: str) -> Any:
    return Stream._meta.get_field(name).get_default()  # type: ignore[union-attr]  # all are columns

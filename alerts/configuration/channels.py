"""A channel's written form, as REST, YAML and the console have it, becomes a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from alerts.channel_secrets import check_channel_url, seal_channel_url, unseal_channel_url
from alerts.configuration.refusals import AlertNameTaken, Errors, InvalidAlerting, fill_plain
from alerts.core.channel_urls import ChannelUrlRefused
from alerts.core.quiet_hours import parse_quiet_hours
from alerts.core.words import ChannelState
from alerts.models import AlertChannel
from farends.errors import AuthConfig
from timing.zones import UnknownZone, find_zone
from workspaces import auditing
from workspaces.lookup import find_by_name

_PLAIN = (
    "name",
    "min_severity",
    "quiet_hours",
    "timezone",
    "breaks_quiet",
    "group_s",
    "most_per_hour",
    "enabled",
)
CHANNEL_FIELDS = ("name", "url", *_PLAIN[1:])
_OF_ADDRESS = ("sealed_secret", "scheme", "shown_url", "state", "broken_since", "last_result")


@dataclass(frozen=True, slots=True)
class WrittenChannel:
    """`changed` names the fields that a stored one got anew."""

    channel: AlertChannel
    changed: tuple[str, ...]


@transaction.atomic
def write_channel(given: AlertChannel, fields: Mapping[str, Any]) -> WrittenChannel:
    """Gives a new or stored channel the fields of its written form. A field that is not named stays; null is the default.
    A new address takes a broken channel for mended. Raises InvalidAlerting, AlertNameTaken, and IntegrityError where the
    name was taken at that moment."""
    stored = _hold_channel(given)
    channel = _hold_channel(given) or given
    errors = fill_plain(channel, fields, _PLAIN)
    url, code = _read_url(channel, fields, is_new=stored is None, errors=errors)
    _check_times(channel, errors)
    if errors:
        raise InvalidAlerting(errors, code)
    changed = [
        name for name in _PLAIN if stored is None or getattr(channel, name) != getattr(stored, name)
    ]
    if url is not None:
        seal_channel_url(channel, url)
        channel.state, channel.broken_since, channel.last_result = ChannelState.OK, None, ""
        changed.append("url")
    if not changed:
        return WrittenChannel(channel, ())
    if "name" in changed:
        others = AlertChannel.objects.exclude(pk=channel.pk)
        if find_by_name(others, channel.workspace, channel.name) is not None:
            raise AlertNameTaken(
                f"There is an alert channel {channel.name} in this workspace already"
            )
    # The sender may write how it went meanwhile: a person's change leaves that alone.
    plain = (*_PLAIN, "updated_at")
    columns = (*plain, *_OF_ADDRESS) if url is not None else plain
    channel.save(update_fields=None if stored is None else columns)
    auditing.note_saved(channel, stored)
    return WrittenChannel(channel, tuple(changed))


@transaction.atomic
def delete_channel(channel: AlertChannel) -> None:
    """What waits to be told there goes with it. Rules that name it alone tell all channels from then on."""
    AlertChannel.objects.select_for_update().filter(pk=channel.pk).first()  # first, as who sends
    auditing.note_deleted(channel)
    channel.delete()


def _hold_channel(channel: AlertChannel) -> AlertChannel | None:
    rows = AlertChannel.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("workspace").filter(pk=channel.pk).first()


def _read_url(
    channel: AlertChannel, fields: Mapping[str, Any], *, is_new: bool, errors: Errors
) -> tuple[str | None, str]:
    """Returns the URL that the channel moves to, None where it stays; and a code that says why it is refused."""
    url = fields.get("url")
    if url in (None, ""):
        if is_new or "url" in fields:
            errors["url"] = ["give the URL of whoever is told, such as mailtos://… or slack://…"]
        return None, ""
    if (stored := _find_url(channel)) is not None and stored == str(url).strip():
        return None, ""
    try:
        check_channel_url(str(url))
    except ChannelUrlRefused as exc:
        errors["url"] = [str(exc)]
        return None, exc.code
    return str(url), ""


def _find_url(channel: AlertChannel) -> str | None:
    try:
        return unseal_channel_url(channel)
    except AuthConfig:
        return None


def _check_times(channel: AlertChannel, errors: Errors) -> None:
    try:
        parse_quiet_hours(channel.quiet_hours)
    except ValueError as exc:
        errors.setdefault("quiet_hours", [str(exc)])
    try:
        find_zone(channel.timezone)
    except UnknownZone as exc:
        errors.setdefault("timezone", [str(exc)])

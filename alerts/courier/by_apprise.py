"""Sends by Apprise: the text of a message, and to services that keep incidents an event for each alert.

An incident has the alert's id for its key, so that a recovery resolves what the opening raised, whichever message
tells it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import apprise
from apprise import NotifyBase, NotifyFormat, NotifyType

from alerts.core.answers import CHANNEL_INVALID, SendAnswer
from alerts.core.channel_urls import ChannelUrl
from alerts.core.texts import end_line, shorten, title_of
from alerts.courier.guard import Witnessed

_TEXT_SPARE = 10
_MAIL = frozenset({"mailto", "mailtos"})
_PRIORITIES = {"critical": "high", "warning": "normal", "info": "low"}
_INCIDENT_MAX = 1_000  # characters that PagerDuty takes, and a few that Apprise adds
Wish = dict[str, Any]

_ASSET = apprise.AppriseAsset(
    app_id="SyncProject",
    app_desc="SyncProject",
    app_url="",
    secure_logging=True,
    async_mode=False,
    plugin_paths=[],
    http_redirects=False,
    allow_templates=False,
    interpret_emojis=False,
    pgp_autogen=False,
    pem_autogen=False,
)


def load_plugins() -> None:
    """Reads what it needs from disk, before a process may read no more."""
    apprise.Apprise.instantiate("json://warm.invalid", asset=_ASSET)


def send_by_apprise(
    url: ChannelUrl, body: Mapping[str, Any], within_s: float, seen: Witnessed
) -> SendAnswer:
    """A message of several events counts as delivered when all are; the keys make a repeated one harmless."""
    for event in _iter_events(url, body):
        plugin = _make_plugin(url, within_s, event.wish)
        if plugin is None:
            return SendAnswer(
                False, CHANNEL_INVALID, f"Apprise cannot read the URL of {url.scheme.name}://."
            )
        room = int(plugin.body_maxlen) - len(event.title) - _TEXT_SPARE
        done = plugin.notify(
            title=event.title,
            body=shorten(event.text, max(room, 100)),
            notify_type=NotifyType(event.kind),
            body_format=NotifyFormat.TEXT,
        )
        if not done:
            return seen.judge()
    return SendAnswer(True)


class _Event:
    """What one call of a plugin sends."""

    def __init__(self, title: str, text: str, kind: str, wish: Wish) -> None:
        self.title, self.text, self.kind, self.wish = title, text, kind, wish


def _iter_events(url: ChannelUrl, body: Mapping[str, Any]) -> Iterator[_Event]:
    told = body["syncproject"]
    delivery = str(told["delivery"])
    make = _INCIDENTS.get(url.scheme.plugin)
    if make is None:
        wish: Wish = (
            {"headers": {"X-SyncProject-Delivery": delivery}} if url.scheme.name in _MAIL else {}
        )
        yield _Event(str(body["title"]), str(body["message"]), str(body["type"]), wish)
        return
    for item in told["alerts"]:
        text = f"{title_of(item)}\n{item['detail']}\n{item['url']}\n{end_line(delivery)}"
        kind = "failure" if item["state"] == "firing" else "success"
        wish = make(item["id"], item["severity"], item["state"] == "firing")
        yield _Event("", shorten(text, _INCIDENT_MAX), kind, {**wish, "click": item["url"]})
    if not told["alerts"]:  # a digest, a test, a notice: an incident of its own
        text = shorten(f"{body['title']}\n{body['message']}", _INCIDENT_MAX)
        yield _Event("", text, "info", make(delivery, "info", True))
        if told["reason"] == "test":
            yield _Event("", text, "success", make(delivery, "info", False))


def _of_pagerduty(key: str, severity: str, firing: bool) -> Wish:
    return {"dedup": key, "severity": severity, "action": "trigger" if firing else "resolve"}


def _of_opsgenie(key: str, severity: str, firing: bool) -> Wish:
    return {
        "alias": key,
        "priority": _PRIORITIES[severity],
        "action": "new" if firing else "close",
    }


_INCIDENTS = {"pagerduty": _of_pagerduty, "opsgenie": _of_opsgenie}


def _make_plugin(url: ChannelUrl, within_s: float, wish: Wish) -> NotifyBase | None:
    """None where Apprise cannot read the URL."""
    found = apprise.Apprise.instantiate(url.plugin_url, asset=_ASSET, suppress_exceptions=True)
    if found is None:
        return None
    read = type(found).parse_url(url.plugin_url) or {}
    read.update(
        asset=_ASSET, format="text", overflow="truncate", redirect=False, rto=within_s, cto=within_s, **wish
    )  # fmt: skip
    read.setdefault("schema", url.scheme.plugin)
    made: NotifyBase | None = apprise.Apprise.instantiate(
        read, asset=_ASSET, suppress_exceptions=True
    )
    return made

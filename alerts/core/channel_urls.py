"""The URL of a channel: which schemes are sent by, which host it names, and what of it may be shown.

Apprise knows 200 schemes. Some dial by C code that no hook sees, run programs or read files, so those below are all
that is sent by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

LENGTH_MAX = 2_000

_URL = re.compile(r"([A-Za-z0-9]{2,20})://([!-~\u00a1-\U0010ffff]+)")
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::([0-9]{1,5}))?")

# Read files or programs of ours, or fetch what they name: refused, so that nobody believes that they work.
_REFUSED = ("attach", "template", "filename", "pgp", "wkd")
# How often, how long and in which form is the product's decision: these are left out.
_DECIDED_HERE = frozenset(
    {
        *("retry", "wait", "rto", "cto", "format", "overflow", "emojis", "redirect", "store", "tz", "optional"),
        *("action", "dedup", "alias", "severity", "priority", "batch", "method", "e2ee", "delay", "inline"),
    }
)  # fmt: skip


class ChannelUrlRefused(ValueError):
    """The URL cannot be a channel. The message says why, without the URL's secrets; `code` is stable."""

    def __init__(self, message: str, *, code: str = "invalid") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ChannelScheme:
    """`plugin`: Apprise's own name for it. `port`: the usual one where the URL names a host; None where it names a
    service, and holds its tokens where others have a host. `is_plain`: what is sent can be read on its way."""

    name: str
    plugin: str
    port: int | None = None
    is_plain: bool = False


def _both(name: str, port: int = 80, port_tls: int = 443) -> tuple[ChannelScheme, ChannelScheme]:
    return ChannelScheme(name, name, port, is_plain=True), ChannelScheme(
        f"{name}s", f"{name}s", port_tls
    )


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        *_both("json"),
        *_both("form"),
        *_both("mailto", 25, 587),
        ChannelScheme("slack", "slack"),
        ChannelScheme("discord", "discord"),
        ChannelScheme("tgram", "tgram"),
        ChannelScheme("workflows", "workflows", 443),
        ChannelScheme("pagerduty", "pagerduty"),
        ChannelScheme("opsgenie", "opsgenie"),
        *_both("ntfy"),
        *_both("gotify"),
        ChannelScheme("pover", "pover"),
        *_both("matrix"),
        *_both("rocket"),
        *_both("mmost"),
        ChannelScheme("webexteams", "wxteams"),
        ChannelScheme("wxteams", "wxteams"),
        *_both("signal"),
        ChannelScheme("twilio", "twilio"),
        ChannelScheme("pushbullet", "pbul"),
        ChannelScheme("pbul", "pbul"),
        *_both("hassio", 8123),
    )
}


@dataclass(frozen=True, slots=True)
class ChannelUrl:
    """`host` is empty where the URL names a service or a topic. `plugin_url` is what Apprise gets."""

    scheme: ChannelScheme
    host: str
    port: int
    rest: str = field(repr=False)  # behind `://`, without the query
    query: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def shown(self) -> str:
        """Scheme and host. A service's URL has its tokens where the host would be."""
        return f"{self.scheme.name}://{f'[{self.host}]' if ':' in self.host else self.host}"

    @property
    def plugin_url(self) -> str:
        query = "&".join(f"{quote(name)}={quote(value, safe='')}" for name, value in self.query)
        rest = self.rest.replace("#", "%23")  # a channel such as #ops is no fragment
        return f"{self.scheme.plugin}://{rest}" + (f"?{query}" if query else "")


def read_channel_url(text: str) -> ChannelUrl:
    """Raises ChannelUrlRefused."""
    found = _URL.fullmatch(text.strip())
    if found is None or len(text) > LENGTH_MAX:
        raise ChannelUrlRefused(f"It must be a URL such as {_EXAMPLES}. {_ALLOWED}")
    scheme = SCHEMES.get(found[1].lower())
    if scheme is None:
        raise ChannelUrlRefused(f"No channel has the scheme {found[1].lower()}. {_ALLOWED}")
    rest, _, raw_query = found[2].partition("?")
    query = _read_query(raw_query)
    host, port = _find_place(scheme, rest, dict(query))
    return ChannelUrl(scheme, host, port, rest, query)


def _read_query(raw: str) -> tuple[tuple[str, str], ...]:
    kept = []
    for part in filter(None, re.split("[&;]", raw)):  # as Apprise does
        name, _, value = (unquote(each).strip() for each in part.partition("="))
        lowered = name.lower()
        if name.startswith(("+", ":")) or lowered.startswith(_REFUSED):
            raise ChannelUrlRefused(
                f"The parameter {name[:40]!r} is not allowed in the URL of a channel."
            )
        if lowered not in _DECIDED_HERE:
            kept.append((name, value))
    return tuple(kept)


def _find_place(scheme: ChannelScheme, rest: str, query: dict[str, str]) -> tuple[str, int]:
    """The host and port that are dialled, as far as the URL tells them."""
    if scheme.port is None:
        return "", 0
    netloc, slash, path = rest.partition("/")
    if scheme.name.startswith("ntfy") and not (slash and path):
        return "", 0  # it is the topic of a public server
    place = _PLACE.fullmatch(netloc.partition("#")[0].rpartition("@")[2])
    host = "" if place is None else place[1] or place[2]
    if scheme.name.startswith("mailto") and query.get("smtp"):
        host = query["smtp"].strip("[]")
    if place is None or not host or int(place[3] or 1) not in range(1, 65536):
        raise ChannelUrlRefused(
            f"The URL of {scheme.name}:// must name a host, such as {_EXAMPLES}."
        )
    return host.lower(), int(place[3] or scheme.port)


_EXAMPLES = "jsons://alerts.example.com/hook"
_ALLOWED = f"Schemes that are allowed: {', '.join(SCHEMES)}."

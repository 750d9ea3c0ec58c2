"""The URL of a channel between who enters it, the database and who sends: checked, sealed and shown without secrets."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from alerts.core.channel_urls import ChannelUrl, ChannelUrlRefused, read_channel_url
from alerts.models import AlertChannel
from connectors.secrets import seal_for, unseal_for
from farends.dialing import Dialer, Policy
from farends.errors import NameNotResolved, NetworkForbidden

FORBIDDEN_NETWORK = "forbidden_network"
_LOOK_UP_S = 2.0


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """`warning`: empty where there is none."""

    scheme: str
    shown_url: str
    warning: str = ""


def check_channel_url(url: str) -> CheckedUrl:
    """Judges what a person enters. Raises ChannelUrlRefused, whose code is `invalid` (the message lists the schemes) or
    `forbidden_network` for a literal address that nobody may connect to. A name is judged when it is sent to."""
    read = read_channel_url(url)
    _judge(read)
    warning = ""
    if read.scheme.is_plain:
        warning = (
            f"{read.scheme.name}:// is not encrypted: whoever is on the way can read the messages."
        )
    return CheckedUrl(read.scheme.name, read.shown, warning)


def seal_channel_url(channel: AlertChannel, url: str) -> None:
    """Puts a URL into the channel (unsaved), with what of it is shown. Raises as `check_channel_url`."""
    checked = check_channel_url(url)
    channel.scheme, channel.shown_url = checked.scheme, checked.shown_url[:300]
    channel.sealed_secret = seal_for(_place_of(channel), {"url": url.strip()})


def unseal_channel_url(channel: AlertChannel) -> str:
    """Raises AuthConfig where no key opens it, or it was sealed for another channel."""
    return str(unseal_for(_place_of(channel), channel.sealed_secret).get("url", ""))


def get_policy() -> Policy:
    """Where a channel may be."""
    return Policy.parse(settings.ALLOWED_NETWORKS, settings.OWN_LISTENERS)


def _place_of(channel: AlertChannel) -> str:
    return f"alert channel {channel.pk}"


def _judge(url: ChannelUrl) -> None:
    if not url.host:
        return
    dialer = Dialer(get_policy(), remote_names=True)  # names stay names
    try:
        dialer.resolve_elsewhere(url.host, url.port, within_s=_LOOK_UP_S)
    except NetworkForbidden as exc:
        raise ChannelUrlRefused(str(exc), code=FORBIDDEN_NETWORK) from None
    except NameNotResolved as exc:
        raise ChannelUrlRefused(f"The URL names no host: {exc}") from None

"""Sends to `json` and `jsons` channels: the body as it is, byte for byte, under its key."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote

from alerts.core.answers import (
    CONNECTION_LOST,
    FORBIDDEN_NETWORK,
    NAME_NOT_RESOLVED,
    TIMED_OUT,
    TLS,
    UNREACHABLE,
    SendAnswer,
    code_of_status,
)
from alerts.core.channel_urls import ChannelUrl
from farends.contract import Context, Patience
from farends.conversation import Conversation, ConversationLimits
from farends.dialing import Dialer, Policy
from farends.errors import (
    NameNotResolved,
    NetworkForbidden,
    Stalled,
    TlsRefused,
    TransportError,
    Unreachable,
)
from farends.web.answers import read_wait
from farends.web.auth import Credentials
from farends.web.url import Origin
from farends.wire.tls import trusting_anybody, trusting_system

_CODES: Mapping[type[TransportError], str] = {
    NetworkForbidden: FORBIDDEN_NETWORK,
    NameNotResolved: NAME_NOT_RESOLVED,
    Unreachable: UNREACHABLE,
    Stalled: TIMED_OUT,
    TlsRefused: TLS,
}
_NOT_FOR_THE_HOST = frozenset({"verify", "image"})


def send_by_json(
    url: ChannelUrl, body: bytes, delivery: str, policy: Policy, within_s: float
) -> SendAnswer:
    try:
        status, wait_s = _post(url, body, delivery, policy, within_s)
    except TransportError as exc:
        return SendAnswer(False, _CODES.get(type(exc), CONNECTION_LOST), str(exc))
    if 200 <= status < 300:
        return SendAnswer(True)
    told = f"The host answered {status}."
    return SendAnswer(False, code_of_status(status), told, wait_s)


def _post(
    url: ChannelUrl, body: bytes, delivery: str, policy: Policy, within_s: float
) -> tuple[int, float | None]:
    """The status, and how many seconds the host wants to be left alone; None where it does not say."""
    scheme = "http" if url.scheme.is_plain else "https"
    is_blind = dict(url.query).get("verify", "").lower() in ("no", "false", "0", "off")
    tls = trusting_anybody() if is_blind else trusting_system()
    context = Context(
        Dialer(policy),
        patience=Patience(connect_s=within_s, log_in_s=within_s, idle_s=within_s),
    )
    limits = ConversationLimits(total_s=within_s, progress_bytes=1, body_bytes_max=1 << 20)
    origin = Origin(scheme, url.host, url.port)
    with (
        Conversation(origin, _log_in_of(url), tls, tls, context, limits) as conversation,
        conversation.ask(
            "POST",
            _target_of(url),
            fields={"Content-Type": "application/json", "Idempotency-Key": delivery},
            body=body,
        ) as answer,
    ):
        return answer.status, read_wait(answer.head.fields)


def _target_of(url: ChannelUrl) -> str:
    path = quote(url.rest.partition("/")[2].partition("#")[0], safe="/%!$&'()*+,;=:@~-._")
    query = "&".join(
        f"{quote(name.removeprefix('-'))}={quote(value, safe='')}"
        for name, value in url.query
        if name.lower() not in _NOT_FOR_THE_HOST
    )
    return f"/{path}" + (f"?{query}" if query else "")


def _log_in_of(url: ChannelUrl) -> Credentials:
    user, at, _ = url.rest.partition("/")[0].rpartition("@")
    name, _, password = user.partition(":")
    return Credentials(
        "basic" if at else "none",
        username=unquote(name),
        password=unquote(password),
        token="",
        header_name="",
    )

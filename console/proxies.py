"""Middleware: a proxy in front says whether its client speaks TLS. Only one that TRUSTED_PROXIES names is believed: else
anybody could say so, and a log-in would be sent in the clear."""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from workspaces.addresses import is_in_networks

log = structlog.get_logger(__name__)
_FIELD = "HTTP_X_FORWARDED_PROTO"
_SEEN = "HTTP_X_FORWARDED_BY"  # who judges by neighbours still sees that a proxy stands between
_told: set[str] = set()  # peers that the log has named; few, for the set is bounded
_TOLD_MAX = 100


def believe_trusted_proxies(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    def answer(request: HttpRequest) -> HttpResponseBase:
        peer = str(request.META.get("REMOTE_ADDR", ""))
        said = request.META.get(_FIELD)
        if said is None or is_in_networks(peer, settings.TRUSTED_PROXIES):
            return get_response(request)
        del request.META[_FIELD]
        request.META[_SEEN] = peer
        if (
            said != "https" or request.is_secure()
        ):  # a proxy on this machine, which gunicorn believes
            return get_response(request)
        _tell_once(peer)
        if settings.SECURE_SSL_REDIRECT and not _is_exempt(request.path):
            return _refuse(peer)
        return get_response(request)

    return answer


def _is_exempt(path: str) -> bool:
    return any(re.search(one, path.lstrip("/")) for one in settings.SECURE_REDIRECT_EXEMPT)


def _refuse(peer: str) -> HttpResponse:
    """In place of a redirect to where the client is already, without end."""
    words = (
        f"The proxy {peer} says that you speak https, and it is not one of TRUSTED_PROXIES: the operator names its"
        " address there (docs/service.md)."
    )
    return HttpResponse(f"{words}\n", status=400, content_type="text/plain; charset=utf-8")


def _tell_once(peer: str) -> None:
    if peer not in _told and len(_told) < _TOLD_MAX:
        _told.add(peer)
        log.warning("proxy.not_trusted", peer=peer, setting="TRUSTED_PROXIES")

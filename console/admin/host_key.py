"""Approving a host key: the old and the new one side by side, the last characters typed, and a test at once."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from connectors.models import Connector
from connectors.pinning import find_offer, pin
from console.admin.buttons import ButtonsAdmin

TYPED = 6  # characters at the key's end, which a person has compared with what its owner says


def approve_view(
    page: ButtonsAdmin,
    request: HttpRequest,
    object_id: str,
    test: Callable[[HttpRequest, Connector], None],
) -> HttpResponse:
    """GET shows the pinned and the offered key side by side. POST pins the one that was shown if its last characters were
    typed, and tests the connection."""
    connector = page.get_object(request, object_id)
    if connector is None:
        raise Http404
    if not page.has_change_permission(request, connector):
        raise PermissionDenied
    offered = find_offer(connector)
    if request.method == "POST":
        _approve(page, request, connector, test)
        return HttpResponseRedirect(page.page(connector))
    if offered is None:
        messages.info(request, "There is no new host key to approve.")
        return HttpResponseRedirect(page.page(connector))
    context = {
        **page.admin_site.each_context(request),
        "title": "Approve a host key",
        "opts": page.opts,
        "connector": connector,
        "pinned": connector.options.get(offered.option, ""),
        "offered": offered,
        "typed": TYPED,
        "back": page.page(connector),
    }
    return TemplateResponse(request, "console/host_key.html", context)


def _approve(
    page: ButtonsAdmin,
    request: HttpRequest,
    connector: Connector,
    test: Callable[[HttpRequest, Connector], None],
) -> None:
    shown = str(request.POST.get("offered", ""))
    typed = str(request.POST.get("last", "")).strip()
    if typed != shown[-TYPED:]:
        words = f"Nothing was approved: “{typed[:20]}” is not how the key ends. Type its last {TYPED} characters, as its owner reads them to you."
        messages.error(request, words)
        return
    pinned = pin(connector, shown)
    if pinned is None:
        messages.error(request, "The host has shown another key since: look again.")
        return
    page.log_change(request, connector, f"Approved the {pinned.whose} key {pinned.key}.")
    messages.success(request, f"The {pinned.whose} key is approved.")
    connector.refresh_from_db()
    test(request, connector)

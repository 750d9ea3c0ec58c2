"""The page on which a person approves a host key."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from connectors.pinning import find_offer, pin
from console.admin.buttons import ButtonsAdmin


def approve_view(page: ButtonsAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """GET shows the pinned and the offered key side by side; POST pins the one that was shown."""
    connector = page.get_object(request, object_id)
    if connector is None:
        raise Http404
    if not page.has_change_permission(request, connector):
        raise PermissionDenied
    offered = find_offer(connector)
    if request.method == "POST":
        if (pinned := pin(connector, str(request.POST.get("offered", "")))) is not None:
            page.log_change(request, connector, f"Approved the {pinned.whose} key {pinned.key}.")
            messages.success(request, "The host key is pinned. Test the connection again.")
        else:
            messages.error(request, "The host has shown another key since: look again.")
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
        "offered": offered.key,
        "whose": offered.whose,
        "back": page.page(connector),
    }
    return TemplateResponse(request, "console/host_key.html", context)

"""A host key is pinned because a person looked at it and said so, never silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from connectors.models import Connector
from connectors.registry import SPECS
from connectors.spec import option_fields

if TYPE_CHECKING:
    from console.admin.connector import ConnectorAdmin

OPTION = "host_key"


def find_offer(connector: Connector) -> str:
    """The key that the host showed in the last test and that is not pinned; empty where none is."""
    spec = SPECS.get(connector.kind)
    if spec is None or OPTION not in {field.name for field in option_fields(spec.options)}:
        return ""
    offered = next(
        (str(stage["offered"]) for stage in connector.last_test or [] if stage.get("offered")), ""
    )
    return "" if offered == connector.options.get(OPTION) else offered


def approve(page: ConnectorAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """GET shows the pinned and the offered key side by side; POST pins the one that was shown."""
    connector = page.get_object(request, object_id)
    if connector is None:
        raise Http404
    if not page.has_change_permission(request, connector):
        raise PermissionDenied
    offered = find_offer(connector)
    if request.method == "POST":
        if pin(connector, str(request.POST.get("offered", ""))):
            page.log_change(request, connector, f"Approved the host key {offered}.")
            messages.success(request, "The host key is pinned. Test the connection again.")
        else:
            messages.error(request, "The host has shown another key since: look again.")
        return HttpResponseRedirect(page.page(connector))
    if not offered:
        messages.info(request, "There is no new host key to approve.")
        return HttpResponseRedirect(page.page(connector))
    context = {
        **page.admin_site.each_context(request),
        "title": "Approve a host key",
        "opts": page.opts,
        "connector": connector,
        "pinned": connector.options.get(OPTION, ""),
        "offered": offered,
        "back": page.page(connector),
    }
    return TemplateResponse(request, "console/host_key.html", context)


def pin(connector: Connector, key: str) -> bool:
    """False where that key is not (or no longer) the one on offer."""
    with transaction.atomic():
        row = Connector.objects.select_for_update().get(pk=connector.pk)
        if not key or key != find_offer(row):
            return False
        row.options = {**row.options, OPTION: key}
        row.save(update_fields=["options", "updated_at"])
    return True

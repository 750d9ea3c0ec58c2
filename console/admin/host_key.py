"""A host key is pinned because a person looked at it and said so, never silently."""

from __future__ import annotations

from dataclasses import dataclass
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

OPTIONS = ("host_key", "jump_host_key")


@dataclass(frozen=True, slots=True)
class Offer:
    """The key that a host showed in the last test, and the option that would pin it."""

    key: str
    option: str

    @property
    def whose(self) -> str:
        return "jump host" if self.option == "jump_host_key" else "host"


def find_offer(connector: Connector) -> Offer | None:
    """None where nothing was offered that is not pinned already."""
    spec = SPECS.get(connector.kind)
    if spec is None:
        return None
    known = {field.name for field in option_fields(spec.options)}.intersection(OPTIONS)
    for stage in connector.last_test or []:
        key, option = str(stage.get("offered") or ""), stage.get("option") or OPTIONS[0]
        if key and option in known:
            return Offer(key, option) if key != connector.options.get(option) else None
    return None


def approve(page: ConnectorAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """GET shows the pinned and the offered key side by side; POST pins the one that was shown."""
    connector = page.get_object(request, object_id)
    if connector is None:
        raise Http404
    if not page.has_change_permission(request, connector):
        raise PermissionDenied
    offered = find_offer(connector)
    if request.method == "POST":
        if offered and pin(connector, offered.option, str(request.POST.get("offered", ""))):
            page.log_change(request, connector, f"Approved the {offered.whose} key {offered.key}.")
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


def pin(connector: Connector, option: str, key: str) -> bool:
    """False where that key is not (or no longer) the one on offer."""
    with transaction.atomic():
        row = Connector.objects.select_for_update().get(pk=connector.pk)
        if find_offer(row) != Offer(key, option):
            return False
        row.options = {**row.options, option: key}
        row.save(update_fields=["options", "updated_at"])
    return True

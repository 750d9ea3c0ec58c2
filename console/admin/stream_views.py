"""The pages of one stream beside its first: what was sent, and the configurations that came."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console.admin.buttons import ButtonsAdmin
from console.stream_page import DELIVERIES_PAGE, compare_configurations, find_deliveries
from outbox.models import ClientConfiguration, Stream, StreamContact


def get_stream(page: ButtonsAdmin, request: HttpRequest, pk: Any) -> Stream:
    """404 for what is not there or not theirs."""
    stream: Stream | None = page.get_object(request, str(pk))
    if stream is None:
        raise Http404
    return stream


def read_number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")[:18]
    return int(text) if text.isascii() and text.isdigit() else None


def deliveries_view(page: ButtonsAdmin, request: HttpRequest, pk: Any) -> HttpResponse:
    stream = get_stream(page, request, pk)
    found = find_deliveries(stream, read_number(request, "before"))
    shown = found[:DELIVERIES_PAGE]
    context = {
        **page.admin_site.each_context(request),
        "title": f"Deliveries of {stream}",
        "opts": page.opts,
        "stream": stream,
        "deliveries": shown,
        "more": shown[-1].pk if len(found) > DELIVERIES_PAGE else None,
    }
    return TemplateResponse(request, "console/stream_deliveries.html", context)


def configurations_view(page: ButtonsAdmin, request: HttpRequest, pk: Any) -> HttpResponse:
    """All versions that are kept, and what differs between one and the one that was used before it."""
    stream = get_stream(page, request, pk)
    versions = list(ClientConfiguration.objects.filter(stream=stream).order_by("-number"))
    number = read_number(request, "version")
    chosen = next((version for version in versions if number in (None, version.number)), None)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Configuration of {stream}",
        "opts": page.opts,
        "stream": stream,
        "contact": StreamContact.objects.get(pk=stream.pk),
        "versions": versions,
        "chosen": chosen,
        **(compare_configurations(chosen, versions) if chosen else {}),
    }
    return TemplateResponse(request, "console/stream_configurations.html", context)

"""The pages of one stream beside its first: what was sent, and the configurations that came."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold import widgets

from console.admin.buttons import ButtonsAdmin
from console.stream_page import DELIVERIES_PAGE, compare_configurations, find_deliveries
from outbox.figures import read_status
from outbox.models import ClientConfiguration, Stream, StreamContact
from outbox.streams import UnsentReadings, delete_stream


def get_stream(page: ButtonsAdmin, request: HttpRequest, pk: str | UUID) -> Stream:
    """404 for what is not there or not theirs."""
    stream: Stream | None = page.get_object(request, str(pk))
    if stream is None:
        raise Http404
    return stream


def read_number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")[:18]
    return int(text) if text.isascii() and text.isdigit() else None


def deliveries_view(page: ButtonsAdmin, request: HttpRequest, pk: str | UUID) -> HttpResponse:
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


class DiscardForm(forms.Form):
    count = forms.IntegerField(
        label="How many unsent readings do you discard?",
        widget=widgets.UnfoldAdminTextInputWidget({"inputmode": "numeric", "autocomplete": "off"}),
        help_text="Type the number that stands above.",
    )


def discard_view(page: ButtonsAdmin, request: HttpRequest, pk: str | UUID) -> HttpResponse:
    """Deletes a stream with what it holds: a person types how many readings nobody will ever have."""
    stream = get_stream(page, request, pk)
    if not page.has_delete_permission(request, stream):
        raise PermissionDenied
    form = DiscardForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        count = form.cleaned_data["count"]
        try:
            delete_stream(stream, discard=True, counted=count)
        except UnsentReadings as exc:
            form.add_error("count", f"{exc.count} readings are unsent by now, and not {count}.")
        else:
            messages.success(request, f"Deleted {stream} with {count} unsent readings.")
            return HttpResponseRedirect(reverse("admin:outbox_stream_changelist"))
    status = read_status(stream)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Delete {stream} with its readings",
        "opts": page.opts,
        "stream": stream,
        "unsent": status.queue_size,
        "dead_letters": status.dead_letters,
        "form": form,
    }
    return TemplateResponse(request, "console/stream_discard.html", context)


def configurations_view(page: ButtonsAdmin, request: HttpRequest, pk: str | UUID) -> HttpResponse:
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

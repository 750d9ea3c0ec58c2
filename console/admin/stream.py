"""Streams: what waits for a client system, how it goes out, and what was refused."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from connectors.models import Connector
from connectors.watching import Reachability
from console import stream_page, tenancy
from console.admin import dead_letters, stream_views
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.deleting import describe_deletion
from console.admin.filters import ScopedFilter, WorkspaceFilter
from console.admin.keyset import KeysetChangeList
from console.admin.stream_form import StreamForm
from console.calling import call_far_end
from console.labels import label, link, moment, shorten_text
from console.live import EVERY_S, fragment
from console.words import NOTHING, group_digits, span_words
from outbox.contacts import download_configuration, send_heartbeat
from outbox.figures import StreamStatus, read_status, read_statuses
from outbox.models import Stream, StreamState
from outbox.streams import (
    CLIENT_KIND,
    StreamPaused,
    UnsentReadings,
    delete_stream,
    hurry_stream,
    save_stream,
    start_stream,
    stop_stream,
)
from workspaces.models import Role


class StreamList(KeysetChangeList):
    """A page of streams with their figures, which come by one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        statuses = {status.stream_id: status for status in read_statuses(list(self.result_list))}
        for stream in self.result_list:
            stream.status = statuses[stream.pk]


class ClientFilter(ScopedFilter):
    title = "client system"
    parameter_name = "client"
    model = Connector
    only = {"kind": CLIENT_KIND}


def _is_running(stream: Stream) -> bool:
    return stream.state == StreamState.RUNNING


def _is_halted(stream: Stream) -> bool:
    return stream.state != StreamState.RUNNING


@admin.register(Stream)
class StreamAdmin(ButtonsAdmin):
    form = StreamForm
    list_display = [
        "name",
        "workspace",
        "show_client",
        "show_state",
        "online",
        "queued",
        "oldest",
        "last_sync",
        "refused",
        "waits",
    ]
    list_filter = [WorkspaceFilter, ClientFilter, "state"]
    list_select_related = ["workspace", "client__far_end_watch"]
    search_fields = ["name", "client__name"]
    change_form_template = "console/stream_form.html"
    delete_confirmation_template = "console/stream_delete.html"
    buttons = (
        Button("start", "Start", "play", tone="main", shown=_is_halted),
        Button("sync", "Sync now", "run", tone="main", shown=_is_running),
        Button(
            "stop",
            "Stop",
            "pause",
            tone="risk",
            confirm="Stop this stream? The batch that is under way is finished, and no other follows. Readings"
            " are taken in as before.",
            shown=_is_running,
        ),
        Button("heartbeat", "Send a heartbeat", "pulse"),
        Button("configuration", "Download the configuration", "down"),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:pk>/live/", fragment(self.live_view), name="outbox_stream_live"),
            path(
                "<uuid:pk>/deliveries/",
                view(partial(stream_views.deliveries_view, self)),
                name="outbox_stream_deliveries",
            ),
            path(
                "<uuid:pk>/discard/",
                view(partial(stream_views.discard_view, self)),
                name="outbox_stream_discard",
            ),
            path(
                "<uuid:pk>/configurations/",
                view(partial(stream_views.configurations_view, self)),
                name="outbox_stream_configurations",
            ),
            path(
                "<uuid:pk>/dead-letters/",
                view(partial(dead_letters.list_view, self)),
                name="outbox_stream_dead_letters",
            ),
            path(
                "<uuid:pk>/dead-letters/redrive/",
                view(partial(dead_letters.redrive_view, self)),
                name="outbox_stream_redrive",
            ),
            path(
                "<uuid:pk>/dead-letters/<int:letter_id>/",
                view(partial(dead_letters.edit_view, self)),
                name="outbox_stream_dead_letter",
            ),
        ]
        return [*own, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StreamList

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [
            (None, {"fields": ["workspace", "name", "client"]}),
            ("Delivery", {"fields": ["batch_size", "sync_interval_s", "max_queued"]}),
            (
                "Heartbeat and configuration",
                {"fields": ["heartbeat_interval_s", "configuration_interval_s", "configuration_schema"]},
            ),
        ]  # fmt: skip

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["workspace"] if obj else []

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        if db_field.name == "client":
            kwargs["queryset"] = self._find_clients(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _find_clients(self, request: HttpRequest) -> QuerySet[Connector]:
        """Client systems of the stream's workspace; for a new one, of those in which the person may make one."""
        rows = Connector.objects.filter(kind=CLIENT_KIND)
        match = request.resolver_match
        stream_id = match.kwargs.get("object_id") if match else None
        stream = self.get_object(request, stream_id) if stream_id else None
        if stream is not None:
            return rows.filter(workspace=stream.workspace_id)
        return tenancy.narrow(request, tenancy.scope(request, rows, needed=Role.ADMIN))

    def save_model(self, request: HttpRequest, obj: Stream, form: Any, change: bool) -> None:
        save_stream(obj)

    def delete_model(self, request: HttpRequest, obj: Stream) -> None:
        delete_stream(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Stream]) -> None:
        for stream in self.changeable(request, queryset):
            try:
                delete_stream(stream)
            except UnsentReadings as exc:  # they came while the page asked
                messages.error(request, f"{stream}: {exc.count} readings were not sent yet.")

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        streams = list(objs)
        shown, counts, refused, _ = describe_deletion(
            "streams", streams, self.refuse_deletion(request, streams)
        )
        unsent = [
            f"{status.queue_size} unsent reading{'' if status.queue_size == 1 else 's'} of {status.name}"
            for status in read_statuses(streams)
            if status.queue_size
        ]
        return shown, counts, refused, unsent

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        stream = context.get("original")
        if isinstance(stream, Stream):
            context |= self._live_context(stream)
        return super().render_change_form(request, context, *args, **kwargs)

    def live_view(self, request: HttpRequest, pk: str | UUID) -> HttpResponse:
        stream = stream_views.get_stream(self, request, pk)
        return TemplateResponse(request, "console/stream_live.html", self._live_context(stream))

    def _live_context(self, stream: Stream) -> dict[str, Any]:
        return {**stream_page.describe_stream(stream), "every_s": EVERY_S}

    def press_start(self, request: HttpRequest, stream: Stream) -> None:
        start_stream(stream)
        messages.success(request, "Started: the next try begins at once.")

    def press_stop(self, request: HttpRequest, stream: Stream) -> None:
        stop_stream(stream)
        messages.success(request, "Stopped: nothing more is sent. Readings are taken in as before.")

    def press_sync(self, request: HttpRequest, stream: Stream) -> None:
        try:
            hurry_stream(stream)
        except StreamPaused as exc:
            messages.error(request, f"{exc}.")
            return
        waiting = read_status(stream).queue_size
        words = "The next try begins at once." if waiting else "Nothing waits: all was sent."
        messages.success(request, words)

    def press_heartbeat(self, request: HttpRequest, stream: Stream) -> None:
        beat = call_far_end(request, stream, stream.workspace_id, lambda: send_heartbeat(stream))
        if beat is None:
            return
        if beat.error is None:
            messages.success(request, f"The client system took the heartbeat ({beat.status}).")
        else:
            messages.error(request, f"The heartbeat did not arrive: {beat.error}.")

    def press_configuration(self, request: HttpRequest, stream: Stream) -> HttpResponse | None:
        contact = call_far_end(
            request, stream, stream.workspace_id, lambda: download_configuration(stream)
        )
        if contact is None:
            return None
        if contact.check_error:
            words = f"The configuration was not downloaded: {contact.check_error}. The one before stays."
            messages.error(request, words)
            return None
        messages.success(request, "Downloaded. The newest version stands first.")
        return HttpResponseRedirect(reverse("admin:outbox_stream_configurations", args=[stream.pk]))

    @admin.display(description="client system")
    def show_client(self, stream: Stream) -> str:
        return link(stream.client, stream.client.name)

    @admin.display(description="state", ordering="state")
    def show_state(self, stream: Stream) -> str:
        return label(stream.state, title=stream.reason)

    @admin.display(description="reachable")
    def online(self, stream: Stream) -> str:
        watch = getattr(stream.client, "far_end_watch", None)
        state = watch.state if watch else Reachability.UNKNOWN.value
        return label(state, title=watch.last_error if watch else "")

    @admin.display
    def queued(self, stream: Any) -> str:
        return group_digits(_status_of(stream).queue_size)

    @admin.display(description="oldest")
    def oldest(self, stream: Any) -> str:
        return span_words(_status_of(stream).oldest_reading_age_s)

    @admin.display(description="last sync")
    def last_sync(self, stream: Any) -> str:
        return moment(_status_of(stream).last_sync_at)

    @admin.display(description="dead letters")
    def refused(self, stream: Any) -> str:
        count = _status_of(stream).dead_letters
        return str(count) if count else NOTHING

    @admin.display(description="waits for")
    def waits(self, stream: Any) -> str:
        status = _status_of(stream)
        return shorten_text(stream.reason or (status.waiting_for if status.queue_size else ""))


def _status_of(stream: Any) -> StreamStatus:
    status: StreamStatus = stream.status
    return status

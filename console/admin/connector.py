"""Connectors: added in two steps, tested from the page, secrets written and never shown."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.debug import sensitive_post_parameters

from connectors.models import Connector
from connectors.monitoring import check_now
from connectors.opening import test_connector
from connectors.pinning import find_offer
from connectors.reachability import switch_watching
from connectors.secrets import secret_fields
from console.admin import host_key, tables
from console.admin.bulk import BulkAct
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.connector_form import (
    OPTION,
    PASTED,
    SPLIT,
    NewConnectorForm,
    advanced_names,
    form_for,
    option_names,
    secret_names,
    split_host,
)
from console.admin.deleting import Dependant, describe_deletion
from console.admin.filters import KindFilter, WorkspaceFilter
from console.calling import call_far_end
from console.connection_test import describe_host, describe_test, summarize_test
from console.connector_page import describe_jobs, describe_reach, describe_trouble, find_job_url
from console.labels import label, moment, shorten_text
from console.live import fragment
from console.words import NOTHING
from farends.errors import TransportError
from farends.registry import SPECS, UnknownKind, get_spec
from farends.spec import option_fields
from outbox.models import Stream
from syncjobs.configuration.connectors import delete_connector, save_connector
from syncjobs.core.states import State
from syncjobs.models import Dependency, SyncJob, SyncRecord
from syncjobs.queries.connectivity import has_passed
from syncjobs.queries.syncing import ShownStatus
from workspaces.models import Role

TESTED_AT_ONCE = 5  # each may wait for its far end, and the page waits with them


def _is_watched(connector: Connector) -> bool:
    watch = getattr(connector, "far_end_watch", None)  # which the page has read
    return watch is None or watch.watch


def _is_unwatched(connector: Connector) -> bool:
    return not _is_watched(connector)


@admin.register(Connector)
class ConnectorAdmin(ButtonsAdmin):
    list_display = [
        "name",
        "workspace",
        "show_kind",
        "address",
        "show_status",
        "synced",
        "attempted",
        "tested",
        "sync_error",
    ]
    list_filter = [WorkspaceFilter, KindFilter, "status"]
    list_select_related = ["workspace"]
    search_fields = ["name", "host"]
    actions = ["test_selected"]
    bulk_acts = {
        "test_selected": BulkAct(
            f"Each host is called now, {TESTED_AT_ONCE} at once at most: the page waits for them. The others are left"
            " alone.",
            "tested",
        )
    }
    change_form_template = "console/connector_form.html"
    buttons = (
        Button("test", "Test connection", "pulse", tone="main"),
        Button("check", "Check now", "eye"),
        Button("tables", "Tables…", "table", shown=tables.has_tables),
        Button("unwatch", "Switch checks off", "unknown", needs=Role.ADMIN, shown=_is_watched),
        Button("watch", "Switch checks on", "eye", needs=Role.ADMIN, shown=_is_unwatched),
    )

    def get_urls(self) -> list[URLPattern]:
        approve = path(
            "<path:object_id>/host-key/",
            self.admin_site.admin_view(self.approve_host_key),
            name="connectors_connector_host_key",
        )
        connectivity = path(
            "<uuid:pk>/connectivity/",
            fragment(self.connectivity_view),
            name="connectors_connector_connectivity",
        )
        shown = path(
            "<uuid:pk>/tables/",
            self.admin_site.admin_view(partial(tables.tables_view, self)),
            name="connectors_connector_tables",
        )
        return [approve, connectivity, shown, *super().get_urls()]

    @method_decorator(sensitive_post_parameters())
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if SPLIT in request.POST:
            connector = self.get_object(request, object_id) if object_id else None
            given = split_host(request.POST, connector.kind if connector else None)
            request.POST = given  # type: ignore[assignment]  # Django's own setter
        return super().changeform_view(request, object_id, *args, **kwargs)

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        running = SyncRecord.objects.filter(connector=OuterRef("pk"), state=State.RUNNING)
        rows: QuerySet[Any] = super().rows(request).annotate(is_syncing=Exists(running))
        return rows

    def get_form(
        self,
        request: HttpRequest,
        obj: Connector | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> type[forms.ModelForm[Any]]:
        if obj is None:
            kwargs["form"] = NewConnectorForm
        elif obj.kind in SPECS and self.has_change_permission(request, obj):
            kwargs["form"] = form_for(obj)
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Connector | None = None) -> Any:
        if obj is None:
            fields = ["workspace", "name", "kind", "host", "port"]
            pasted = [OPTION + name for name in PASTED if OPTION + name in request.POST]
            return [(None, {"fields": fields + pasted})]
        end = ["name", "workspace", "show_kind", "host", "port", "status"]
        shown: list[Any] = [(None, {"fields": end})]
        if obj.kind in SPECS and self.has_change_permission(request, obj):
            shown.append(("Options", {"fields": option_names(obj)}))
            shown.append(("Secret", {"fields": secret_names(obj)}))
            shown.append(("Advanced", {"classes": ["collapse"], "fields": advanced_names(obj)}))
        else:
            shown.append(("Options", {"fields": ["show_options", "show_secret"]}))
        shown.append(("When", {"fields": ["auto_sync", "sync_interval_s", "max_running"]}))
        return shown

    def get_readonly_fields(self, request: HttpRequest, obj: Connector | None = None) -> list[str]:
        if obj is None:
            return []
        return ["workspace", "show_kind", "show_options", "show_secret"]

    def save_model(self, request: HttpRequest, obj: Connector, form: Any, change: bool) -> None:
        if resumed := save_connector(obj):
            messages.info(request, f"Paused jobs of this connector go on: {resumed}.")

    def delete_model(self, request: HttpRequest, obj: Connector) -> None:
        delete_connector(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Connector]) -> None:
        for connector in self.changeable(request, queryset):
            delete_connector(connector)

    def response_add(
        self, request: HttpRequest, obj: Connector, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Goes on to step two, like Django's own page for users."""
        messages.success(request, f"“{obj}” was added. Now its options and secret.")
        return HttpResponseRedirect(self.page(obj))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        connector = context.get("original")
        if isinstance(connector, Connector):
            context |= self._describe(request, connector)
        return super().render_change_form(request, context, *args, **kwargs)

    def _describe(self, request: HttpRequest, connector: Connector) -> dict[str, Any]:
        may_change = self.has_change_permission(request, connector)
        has_tables = tables.has_tables(connector)
        passed = has_passed(connector)
        told = describe_reach(connector) | describe_jobs(connector)
        return {
            **told,
            **describe_trouble(connector),
            "is_new": passed is None
            and not (told["jobs"] or told["checks"] or connector.sealed_secret),
            "test": describe_test(connector),
            "passed": passed,
            "host_facts": describe_host(connector),
            "may_change": may_change,
            "typed": host_key.TYPED,
            "job_url": find_job_url(connector, has_tables=has_tables) if may_change else "",
            "settings_open": request.method == "POST"
            or "settings" in request.GET
            or passed is None,
        }

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        chosen = [obj.pk for obj in objs]
        return describe_deletion(
            "connectors",
            objs,
            self.refuse_deletion(request, objs),
            Dependant("stream", Stream.objects.filter(client__in=chosen)),
            # A job that auto_sync made goes too, unless a record or a follower keeps it.
            Dependant("sync job", SyncJob.objects.filter(connector__in=chosen, is_default=False)),
            Dependant(
                "job that runs after it",
                Dependency.objects.filter(parent__connector__in=chosen, parent__is_default=True),
            ),
            Dependant("sync record", SyncRecord.either.filter(connector__in=chosen)),
        )

    def press_test(self, request: HttpRequest, connector: Connector) -> None:
        self._test(request, connector)

    @admin.action(description="Test connection", permissions=["operate"])
    def test_selected(self, request: HttpRequest, rows: QuerySet[Connector]) -> None:
        chosen = list(
            self.operable(request, rows).select_related("workspace")[: TESTED_AT_ONCE + 1]
        )
        for connector in chosen[:TESTED_AT_ONCE]:
            self._test(request, connector)
        if len(chosen) > TESTED_AT_ONCE:
            messages.info(request, f"The first {TESTED_AT_ONCE} were tested.")

    def _test(self, request: HttpRequest, connector: Connector) -> None:
        try:
            results = call_far_end(
                request, connector, connector.workspace_id, lambda: test_connector(connector)
            )
        except (TransportError, UnknownKind) as exc:
            messages.error(request, f"{connector}: {exc}")
            return
        if results is None:
            return
        self.log_change(request, connector, "Tested the connection.")
        passed, words = summarize_test(connector)
        level = messages.SUCCESS if passed else messages.ERROR
        if find_offer(connector) is not None:
            level, words = messages.WARNING, "a person must look at its key before anybody logs in."
        messages.add_message(request, level, f"{connector}: {words}")

    def press_tables(self, request: HttpRequest, connector: Connector) -> HttpResponse:
        return HttpResponseRedirect(
            reverse("admin:connectors_connector_tables", args=[connector.pk])
        )

    def press_check(self, request: HttpRequest, connector: Connector) -> None:
        watch = call_far_end(
            request, connector, connector.workspace_id, lambda: check_now(connector)
        )
        if watch is None:
            return
        if watch.failures:
            messages.error(request, f"{connector} cannot be reached: {watch.last_error}.")
        else:
            messages.success(request, f"{connector} can be reached.")

    def press_watch(self, request: HttpRequest, connector: Connector) -> None:
        switch_watching(connector, on=True)
        self.log_change(request, connector, "Switched the connectivity checks on.")
        messages.success(request, f"{connector} is checked from now on.")

    def press_unwatch(self, request: HttpRequest, connector: Connector) -> None:
        switch_watching(connector, on=False)
        self.log_change(request, connector, "Switched the connectivity checks off.")
        messages.success(
            request, f"{connector} is not checked any more. What work meets is still noted."
        )

    def connectivity_view(self, request: HttpRequest, pk: str | UUID) -> HttpResponse:
        connector = self.get_object(request, str(pk))
        if connector is None:
            raise Http404
        return TemplateResponse(
            request, "console/connectivity_live.html", describe_reach(connector)
        )

    def approve_host_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return host_key.approve_view(self, request, object_id, self._test)

    @admin.display(description="kind", ordering="kind")
    def show_kind(self, connector: Connector) -> str:
        spec = SPECS.get(connector.kind)
        return spec.title if spec else f"{connector.kind} (not spoken here)"

    @admin.display(description="host", ordering="host")
    def address(self, connector: Connector) -> str:
        return f"{connector.host}:{connector.port}"

    @admin.display(description="status", ordering="status")
    def show_status(self, connector: Any) -> str:
        return label(ShownStatus.SYNCING if connector.is_syncing else connector.status)

    @admin.display(description="last success", ordering="last_sync_at")
    def synced(self, connector: Connector) -> str:
        return moment(connector.last_sync_at)

    @admin.display(description="last attempt", ordering="last_attempt_at")
    def attempted(self, connector: Connector) -> str:
        if connector.last_attempt_at is None:
            return NOTHING
        shown = label(connector.last_sync_status, title=connector.last_sync_error)
        return format_html("{} {}", shown, moment(connector.last_attempt_at))

    @admin.display(description="test", ordering="last_test_at")
    def tested(self, connector: Connector) -> str:
        if connector.last_test_at is None:
            return NOTHING
        passed, words = summarize_test(connector)
        word = "passed" if passed else "failed"
        return format_html(
            "{} {}",
            label(word, tone=None if passed else "bad", title=words),
            moment(connector.last_test_at),
        )

    @admin.display(description="error")
    def sync_error(self, connector: Connector) -> str:
        return shorten_text(connector.last_sync_error, tone="sp-bad")

    @admin.display(description="options")
    def show_options(self, connector: Connector) -> str:
        known = option_fields(get_spec(connector.kind).options) if connector.kind in SPECS else []
        labels = {field.name: field.label for field in known}
        return (
            format_html_join(
                "",
                "<div>{}: <b>{}</b></div>",
                ((labels.get(name, name), value) for name, value in connector.options.items()),
            )
            or NOTHING
        )

    @admin.display(description="secret")
    def show_secret(self, connector: Connector) -> str:
        if not connector.sealed_secret:
            return "not stored"
        return f"stored: {', '.join(secret_fields(connector)) or 'does not open any more'}"

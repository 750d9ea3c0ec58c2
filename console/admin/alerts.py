"""Alerts, their rules and channels: what is wrong, who is told, and silence about it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from alerts.configuration.channels import delete_channel
from alerts.configuration.refusals import InvalidAlerting
from alerts.configuration.rules import delete_rule
from alerts.configuration.silences import SILENCE_MAX, silence_alert
from alerts.core.parameters import PARAMETERS
from alerts.core.words import Severity
from alerts.models import Alert, AlertChannel, AlertRule
from alerts.queries.alerts import with_firing, with_state
from alerts.sending.testing import send_test
from console import tenancy
from console.admin.alert_forms import (
    FIGURES_SHOWN,
    AlertChannelForm,
    AlertRuleForm,
    SilenceForm,
    WrittenForm,
)
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.deleting import describe_deletion
from console.admin.filters import WorkspaceFilter
from console.alert_page import (
    SEVERITY_TONES,
    describe_alerts,
    describe_channel,
    describe_rule,
    describe_scope,
    describe_setup,
    show_alerts,
    show_channel,
)
from console.calling import call_far_end
from console.labels import label, moment, shorten_text
from console.live import fragment
from timing.clock import database_now
from workspaces.models import Role


def _is_silent(alert: Any) -> bool:
    return bool(alert.is_silent)


def _is_loud(alert: Any) -> bool:
    return not alert.is_silent


@admin.register(Alert)
class AlertAdmin(ButtonsAdmin):
    """The list shows rules and channels beside what fires."""

    change_form_template = "console/alert.html"
    warn_unsaved_form = False
    actions = None
    buttons = (Button("unsilence", "End the silence", "bell", shown=_is_silent),)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("live/<slug:state>/", fragment(self.live_view), name="alerts_alert_live"),
            path("<uuid:object_id>/silence/", view(self.silence_view), name="alerts_alert_silence"),
        ]
        return [*own, *super().get_urls()]

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        rows = Alert.objects.filter(opened_at__isnull=False)
        return with_state(rows).select_related("rule", "workspace")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Alerts",
            "opts": self.opts,
            **describe_alerts(request, request.GET.get("state", "")),
            **describe_setup(request),
        }
        return TemplateResponse(request, "console/alerts.html", context)

    def live_view(self, request: HttpRequest, state: str) -> HttpResponse:
        context = describe_alerts(request, state)
        return TemplateResponse(request, "console/alerts_live.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        alert = context.get("original")
        if isinstance(alert, Alert):
            [shown] = show_alerts([alert])
            may = self.has_operate_permission(request, alert)
            context |= {
                "shown": shown,
                "sentence": describe_rule(alert.rule),
                "silence": SilenceForm() if may and _is_loud(alert) else None,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def silence_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """404 for what is not there or not theirs, 403 for a viewer."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        alert = self.get_object(request, str(object_id))
        if alert is None:
            raise Http404
        if not self.has_operate_permission(request, alert):
            raise PermissionDenied
        form = SilenceForm(request.POST)
        if form.is_valid():
            until = form.find_end(database_now())
            try:
                silence_alert(
                    alert, until, form.cleaned_data["reason"], by=request.user.get_username()
                )
            except InvalidAlerting:
                words = (
                    f"Nothing was silenced: give a time that comes, within {SILENCE_MAX.days} days."
                )
                messages.error(request, words)
            else:
                messages.success(request, "Silenced. If it still fires then, one message is sent.")
        else:
            words = "Choose for how long, or a day and a time, and give a reason of at most 500 letters."
            messages.error(request, words)
        return HttpResponseRedirect(self.page(alert))

    def press_unsilence(self, request: HttpRequest, alert: Alert) -> None:
        silence_alert(alert, None, "", by=request.user.get_username())
        messages.success(request, "The silence has ended. If it still fires, that is told once.")


class WrittenAdmin(ButtonsAdmin):
    """Rows that are written by `alerts.configuration`."""

    form: type[WrittenForm]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["workspace"] if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.write(obj, form.given)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Whoever writes a row writes what it names too."""

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelMultipleChoiceField[Any] | None:
        rows = db_field.remote_field.model._default_manager.all()
        kwargs["queryset"] = tenancy.scope(request, rows, needed=Role.ADMIN)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        rows = list(objs)
        name = str(self.opts.verbose_name_plural)
        return describe_deletion(name, rows, self.refuse_deletion(request, rows))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in self.changeable(request, queryset):
            self.delete_model(request, row)


@admin.register(AlertRule)
class AlertRuleAdmin(WrittenAdmin):
    form = AlertRuleForm
    list_display = [
        "name",
        "workspace",
        "opens_when",
        "looks_at",
        "how_bad",
        "firing_now",
        "enabled",
    ]
    list_filter = [WorkspaceFilter, "kind", "severity", "enabled"]
    list_select_related = ["workspace", "job", "connector", "stream"]
    search_fields = ["name"]
    conditional_fields = FIGURES_SHOWN  # unfold's: fields that appear with another's value

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        return with_firing(super().rows(request))

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [
            (None, {"fields": ["workspace", "name", "kind", *PARAMETERS, "severity", "enabled"]}),
            ("Looks at", {"fields": ["job", "connector", "stream", "tag"]}),
            ("Tells", {"fields": ["channels"]}),
        ]

    def delete_model(self, request: HttpRequest, obj: AlertRule) -> None:
        delete_rule(obj)

    @admin.display(description="opens when")
    def opens_when(self, rule: AlertRule) -> str:
        return describe_rule(rule)

    @admin.display(description="for")
    def looks_at(self, rule: AlertRule) -> str:
        return describe_scope(rule)

    @admin.display(description="severity", ordering="severity")
    def how_bad(self, rule: AlertRule) -> str:
        return label(rule.severity, SEVERITY_TONES[Severity(rule.severity)])

    @admin.display(description="firing")
    def firing_now(self, rule: Any) -> int:
        return int(rule.firing)


@admin.register(AlertChannel)
class AlertChannelAdmin(WrittenAdmin):
    form = AlertChannelForm
    list_display = ["name", "workspace", "told_what", "how_it_goes", "last_message", "last_word"]
    list_filter = [WorkspaceFilter, "state", "enabled"]
    list_select_related = ["workspace"]
    search_fields = ["name"]
    change_form_template = "console/channel_form.html"
    buttons = (Button("test", "Send a test", "send", tone="main"),)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [
            (None, {"fields": ["workspace", "name", "url", "enabled"]}),
            ("What is told here", {"fields": ["min_severity", "group_s", "most_per_hour"]}),
            ("Quiet hours", {"fields": ["quiet_hours", "timezone", "breaks_quiet"]}),
        ]

    def delete_model(self, request: HttpRequest, obj: AlertChannel) -> None:
        delete_channel(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        channel = context.get("original")
        if isinstance(channel, AlertChannel):
            context["shown"] = show_channel(channel)
        return super().render_change_form(request, context, *args, **kwargs)

    def press_test(self, request: HttpRequest, channel: AlertChannel) -> HttpResponse | None:
        test = call_far_end(request, channel, channel.workspace_id, lambda: send_test(channel))
        if test is not None and test.delivered:
            messages.success(request, f"{channel}: delivered in {test.took_s} s.")
        elif test is not None:
            messages.error(request, f"{channel}: not delivered ({test.code}). {test.detail}")
        return (
            HttpResponseRedirect(reverse("admin:alerts_alert_changelist"))
            if "list" in request.GET
            else None
        )

    @admin.display(description="told what")
    def told_what(self, channel: AlertChannel) -> str:
        return describe_channel(channel)

    @admin.display(description="state", ordering="state")
    def how_it_goes(self, channel: AlertChannel) -> str:
        shown = show_channel(channel)
        return label(shown["word"], shown["tone"])

    @admin.display(description="last message", ordering="last_delivery_at")
    def last_message(self, channel: AlertChannel) -> str:
        return moment(channel.last_delivery_at)

    @admin.display(description="last result")
    def last_word(self, channel: AlertChannel) -> str:
        return shorten_text(channel.last_result)

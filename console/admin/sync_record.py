"""Sync records: a page that moves by itself, and the decisions that a person takes there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import content_disposition_header

from connectors.models import Connector
from console import dashboard, held_page, record_page, tenancy
from console.admin import quarantine
from console.admin.buttons import Button
from console.admin.sync_record_list import RecordListAdmin
from console.labels import find_page_url
from console.live import EVERY_S, fragment
from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import ACTIVE, State
from syncjobs.models import ItemAction, SyncMode, SyncRecord
from syncjobs.queries.held_plans import iter_planned
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NothingToRetry, request_sync, retry, retry_failed
from syncjobs.records.asking import (
    AlreadyApplied,
    AnswerNeeded,
    ConnectorPaused,
    NoPlan,
    PlanChanged,
    approve,
    cancel,
    discard,
    find_applied,
    has_plan,
    release,
)
from syncjobs.records.transition import IllegalMove
from workspaces.models import Role


def _is_cancellable(record: SyncRecord) -> bool:
    return record.state in ACTIVE and record.cancel_asked_at is None


def _is_held(record: SyncRecord) -> bool:
    return record.state == State.HELD


def _is_releasable(record: SyncRecord) -> bool:
    return record.state == State.HELD and not record_page.needs_answer(record)


def _may_retry(record: SyncRecord) -> bool:
    return record.is_final and record.state != State.SUCCEEDED


def _has_failed_files(record: SyncRecord) -> bool:
    whole = record.is_final and not record.dry_run
    return whole and record.files_failed > 0 and not record_page.is_of_rows(record)


def _may_run_again(record: SyncRecord) -> bool:
    return record.state == State.SUCCEEDED and not record.dry_run


def _has_drifted(record: SyncRecord) -> bool:
    return record.is_final and record.error_code == "plan_drifted"


def _tell_typed(record: SyncRecord) -> str:
    return held_page.decide_what_to_say(record).typed


def _is_appliable(record: SyncRecord) -> bool:
    return has_plan(record) and find_applied(record) is None


_CHANGED = "The plan has changed meanwhile: this is the new one. Nothing was done."


@admin.register(SyncRecord)
class SyncRecordAdmin(RecordListAdmin):
    buttons = (
        Button(
            "cancel",
            "Cancel",
            "x",
            tone="risk",
            confirm="Cancel this sync? What it has fetched is kept for the next one.",
            shown=_is_cancellable,
        ),
        Button(
            "release",
            "Release",
            "ok",
            tone="main",
            confirm="Apply what the guard stopped, deletions included?",
            shown=_is_releasable,
        ),
        Button(
            "rebuild",
            "Rebuild the column",
            "gear",
            confirm="Give the column its new type, and write each row anew?",
            shown=record_page.needs_answer,
        ),
        Button(
            "new_column",
            "New column",
            "plus",
            tone="main",
            confirm="Keep the old column as it is, and add a new one beside it?",
            shown=record_page.needs_answer,
        ),
        Button("stop", "Stop", "stop", shown=record_page.needs_answer),
        Button(
            "apply",
            "Apply this plan",
            "plan",
            tone="main",
            confirm="Do what this plan says, removals included? Where anything differs by now,"
            " nothing is done.",
            shown=_is_appliable,
        ),
        Button("retry", "Retry", "run", tone="main", shown=_may_retry),
        Button("retry_failed", "Retry failed files only", "file", shown=_has_failed_files),
        Button("again", "Run again", "run", shown=_may_run_again),
        Button("replan", "Make a new plan", "plan", shown=_has_drifted),
        Button("test", "Test connection", "pulse", shown=record_page.is_of_the_host),
        Button("discard", "Discard", "trash", tone="risk", shown=_is_held),
    )

    def get_urls(self) -> list[URLPattern]:
        live = fragment(self.live_view)
        own = [
            path(
                "dashboard/", fragment(dashboard.dashboard_live_view), name="console_dashboard_live"
            ),
            path(
                "dashboard/beside/",
                fragment(dashboard.dashboard_beside_view),
                name="console_dashboard_beside",
            ),
            path(
                "dashboard/charts/",
                fragment(dashboard.dashboard_charts_view),
                name="console_dashboard_charts",
            ),
            path(
                "cleanup/",
                self.admin_site.admin_view(self.cleanup_view),
                name="syncjobs_syncrecord_cleanup",
            ),
            path(
                "<uuid:pk>/quarantine/",
                self.admin_site.admin_view(partial(quarantine.quarantine_view, self)),
                name="syncjobs_syncrecord_quarantine",
            ),
            path(
                "<uuid:pk>/quarantine/send/",
                self.admin_site.admin_view(partial(quarantine.send_again_view, self)),
                name="syncjobs_syncrecord_send_again",
            ),
            path("<uuid:pk>/live/", live, name="syncjobs_syncrecord_live"),
            path(
                "<uuid:pk>/plan/", fragment(self.planned_view), name="syncjobs_syncrecord_planned"
            ),
            path(
                "<uuid:pk>/plan.csv",
                self.admin_site.admin_view(self.plan_csv_view),
                name="syncjobs_syncrecord_plan_csv",
            ),
            path(
                "<uuid:pk>/files/",
                self.admin_site.admin_view(self.files_view),
                name="syncjobs_syncrecord_files",
            ),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        record = self.get_object(request, object_id)
        if record is None:
            return self.answer_missing(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(record.job),
            "subtitle": None,
            "opts": self.opts,
            "original": record,
            **self._live_context(request, record),
        }
        if record.state == State.HELD:
            context |= held_page.describe_held_page(record, request.GET.dict())
            pressed = self.buttons_for(request, record)
            context["ways"] = {item["button"].name: item for item in pressed}
        return TemplateResponse(request, "console/record.html", context)

    def live_view(self, request: HttpRequest, pk: str | UUID) -> HttpResponse:
        record = self._find(request, pk)
        if (record.state == State.HELD) != (request.GET.get("page") == State.HELD):
            # A decision is another page than a record that moves.
            return HttpResponse(status=200, headers={"HX-Refresh": "true"})
        context = self._live_context(request, record) | {"is_fragment": True}
        return TemplateResponse(request, "console/record_live.html", context)

    def planned_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        record = self._find(request, pk)
        context = {"record": record} | held_page.describe_planned(record, request.GET.dict())
        return TemplateResponse(request, "console/record_planned.html", context)

    def plan_csv_view(self, request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
        """Every path of a held plan."""
        record = self._find(request, pk)
        lines = held_page.write_plan(iter_planned(record.pk))
        name = f"{record.job.name}-{record.queued_at:%Y%m%d-%H%M%S}-plan.csv"
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": content_disposition_header(True, name) or ""},
        )

    def cleanup_view(self, request: HttpRequest) -> HttpResponse:
        """Cleans up stuck records in every workspace where the person may operate."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not tenancy.may(request, Role.OPERATOR):
            raise PermissionDenied
        everywhere = tenancy.sees_all(request)
        done = clean_up(
            by=str(request.user),
            workspace_ids=None if everywhere else tenancy.workspaces_where(request, Role.OPERATOR),
        )
        messages.success(request, done.describe())
        return HttpResponseRedirect(reverse("admin:index"))

    def files_view(self, request: HttpRequest, pk: str | UUID) -> HttpResponse:
        """The whole ledger, a page at a time."""
        record = self._find(request, pk)
        action = request.GET.get("action", "")
        after = request.GET.get("after", "0")[:18]
        term = request.GET.get("q", "")[:200].strip()
        files, more = record_page.page_of_files(
            record, action, int(after) if after.isascii() and after.isdigit() else 0, term
        )
        if request.headers.get("HX-Request"):
            parts = {"record": record, "files": files, "more": more, "q": term}
            return TemplateResponse(request, "console/ledger.html", parts)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Files of {record}",
            "opts": self.opts,
            "record": record,
            "files": files,
            "more": more,
            "action": action,
            "q": term,
            "actions": ItemAction.values,
        }
        return TemplateResponse(request, "console/record_files.html", context)

    def press_cancel(self, request: HttpRequest, record: SyncRecord) -> None:
        if not cancel(record.pk, by=str(request.user)):
            messages.info(request, "It had ended already.")
        elif record.state == State.RUNNING:
            messages.success(request, "Its worker stops within a few seconds.")
        else:
            messages.success(request, "Cancelled.")

    def press_discard(self, request: HttpRequest, record: SyncRecord) -> None:
        try:
            done = discard(record.pk, by=str(request.user), seen=request.POST.get("seen", ""))
        except PlanChanged:
            messages.warning(request, _CHANGED)
            return
        if done:
            messages.success(request, "Discarded: nothing was changed.")
        else:
            messages.info(request, "It is not held any more.")

    def press_retry(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        return self._begin(request, partial(retry, record, by=str(request.user)), "Queued again.")

    def press_retry_failed(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        begin = partial(retry_failed, record, by=str(request.user))
        return self._begin(request, begin, "Its failed files are queued, and no others.")

    def press_again(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        mode = SyncMode(record.mode)
        begin = partial(request_sync, record.job, by=str(request.user), mode=mode)
        return self._begin(request, begin, "Queued.")

    def press_replan(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        begin = partial(request_sync, record.job, by=str(request.user), dry_run=True)
        return self._begin(request, begin, "The new plan is being made.")

    def press_test(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        connector = record.get_connector()
        answer: HttpResponse | None = self.admin_site.get_model_admin(Connector).press_test(  # type: ignore[attr-defined]  # a button of that page
            request, connector
        )
        return answer or HttpResponseRedirect(find_page_url(connector))

    def _begin(
        self, request: HttpRequest, begin: Callable[[], SyncRecord], words: str
    ) -> HttpResponse | None:
        """Leads to the record that was queued, or to the one that is in its way."""
        try:
            queued = begin()
        except (AlreadyQueued, AlreadyApplied, WorkspaceBusy, JobBusy) as exc:
            messages.warning(request, f"Not queued: {exc}.")
            return HttpResponseRedirect(find_page_url(exc.record))
        except (NothingToRetry, NoPlan) as exc:
            messages.error(request, f"{str(exc).rstrip('.')}.")
            return None
        messages.success(request, words)
        return HttpResponseRedirect(find_page_url(queued))

    def press_release(self, request: HttpRequest, record: SyncRecord) -> None:
        self._release(request, record, None)

    def press_rebuild(self, request: HttpRequest, record: SyncRecord) -> None:
        self._release(request, record, "rebuild")

    def press_new_column(self, request: HttpRequest, record: SyncRecord) -> None:
        self._release(request, record, "new_column")

    def press_stop(self, request: HttpRequest, record: SyncRecord) -> None:
        self._release(request, record, "stop")

    def _release(self, request: HttpRequest, record: SyncRecord, answer: str | None) -> None:
        seen, typed = request.POST.get("seen", ""), _tell_typed(record)
        if answer is None and request.POST.get("typed", "").strip() != typed:
            messages.error(request, f"Nothing was released: type {typed}, the number of files.")
            return
        try:
            done = release(record.pk, by=str(request.user), schema_changes=answer, seen=seen)
        except PlanChanged:
            messages.warning(request, _CHANGED)
            return
        except IllegalMove:
            done = False
        except AnswerNeeded as exc:
            messages.error(request, f"{exc}.")
            return
        if done:
            messages.success(request, "Released: it is queued and will be applied.")
        else:
            messages.info(request, "It is not held any more.")

    def press_apply(self, request: HttpRequest, record: SyncRecord) -> HttpResponse | None:
        try:
            applying = approve(record, by=str(request.user))
        except AlreadyApplied as exc:
            messages.info(request, "This plan has been approved already.")
            return HttpResponseRedirect(find_page_url(exc.record))
        except (NoPlan, ConnectorPaused) as exc:
            messages.error(request, f"{exc}.")
            return None
        messages.success(request, "Approved: the plan is queued.")
        return HttpResponseRedirect(find_page_url(applying))

    def _find(self, request: HttpRequest, pk: str | UUID) -> SyncRecord:
        record = self.get_object(request, str(pk))
        if not isinstance(record, SyncRecord):
            raise Http404
        return record

    def _live_context(self, request: HttpRequest, record: SyncRecord) -> dict[str, Any]:
        buttons = self.buttons_for(request, record)
        if record.state == State.HELD:  # the decision has them
            buttons = []
        return {
            **record_page.describe_record_page(record),
            "buttons": buttons,
            "bottom_buttons": buttons[:2],
            "may_mend": record_page.is_of_the_host(record)
            and tenancy.may(request, Role.ADMIN, record.workspace_id),
            "every_s": EVERY_S,
        }

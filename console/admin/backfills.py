"""The page on which a job's fires of the past are asked for, and watched."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold import widgets

from console.admin.buttons import ButtonsAdmin
from syncjobs.models import PARALLEL_MAX, Backfill, SyncJob, SyncMode
from syncjobs.queries.backfills import find_zone_of_job, latest_backfills
from syncjobs.queries.fires import describe_schedule
from syncjobs.queueing.backfilling import (
    NoFires,
    TooManyFires,
    cancel_backfill,
    count_fires,
    request_backfill,
)
from timing.clock import database_now

LIVE_EVERY_S = 2


class BackfillForm(forms.Form):
    """The form of a backfill. Its times are on the clock of the job's schedule."""

    since = forms.DateTimeField(
        label="From",
        widget=widgets.UnfoldAdminTextInputWidget({"type": "datetime-local"}),
    )
    until = forms.DateTimeField(
        label="To, included",
        widget=widgets.UnfoldAdminTextInputWidget({"type": "datetime-local"}),
    )
    parallel = forms.IntegerField(
        label="Records at once",
        min_value=1,
        max_value=PARALLEL_MAX,
        initial=1,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="Queued and running together. One record of a job runs at a time all the same.",
    )
    mode = forms.ChoiceField(
        label="Mode",
        choices=[(mode.value, mode.value) for mode in SyncMode],
        widget=widgets.UnfoldAdminSelectWidget(),
        help_text="Full trusts no metadata: it fetches and compares content.",
    )

    def __init__(self, job: SyncJob, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.job = job
        self.zone = find_zone_of_job(job)
        now = database_now().astimezone(ZoneInfo(self.zone))
        begin = (now - timedelta(days=7)).replace(hour=0, minute=0)
        self.fields["since"].initial = f"{begin:%Y-%m-%dT%H:%M}"
        self.fields["until"].initial = f"{now:%Y-%m-%dT%H:%M}"
        self.fields["mode"].initial = job.sync_mode
        self.fires = 0

    def clean_since(self) -> datetime:
        return self._on_its_clock("since")

    def clean_until(self) -> datetime:
        return self._on_its_clock("until")

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        if not self.errors:
            data = self.cleaned_data
            try:
                self.fires = count_fires(self.job, data["since"], data["until"])
            except (NoFires, TooManyFires) as exc:
                self.add_error(None, capfirst(f"{exc}."))
        return self.cleaned_data

    @property
    def counted(self) -> str:
        """What was counted; a range that was changed since is counted again before it is confirmed."""
        data = self.cleaned_data
        return f"{data['since'].isoformat()} {data['until'].isoformat()} {self.fires}"

    def _on_its_clock(self, name: str) -> datetime:
        """Django has read it as UTC."""
        given: datetime = self.cleaned_data[name]
        return given.replace(tzinfo=ZoneInfo(self.zone))


def backfill_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    """GET asks for the range, the first POST counts its fires, one that confirms these makes the backfill."""
    job = _get_job(page, request, pk)
    form = BackfillForm(job, request.POST if request.method == "POST" else None)
    if (
        request.method == "POST"
        and form.is_valid()
        and request.POST.get("confirmed") == form.counted
    ):
        data = form.cleaned_data
        made = request_backfill(
            job,
            data["since"],
            data["until"],
            parallel=data["parallel"],
            mode=SyncMode(data["mode"]),
            by=str(request.user),
        )
        page.log_change(request, job, f"Asked for a backfill of {made.fires} fires.")
        messages.success(request, f"{job}: {made.fires} fires will get their records.")
        return HttpResponseRedirect(request.path)
    context = {
        **page.admin_site.each_context(request),
        "title": f"Backfill {job}",
        "opts": page.opts,
        "job": job,
        "form": form,
        "schedule": describe_schedule(job),
        "back": page.page(job),
        **_listed(job),
    }
    return TemplateResponse(request, "console/backfill.html", context)


def backfill_live_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    job = _get_job(page, request, pk)
    return TemplateResponse(request, "console/backfill_live.html", {"job": job, **_listed(job)})


def cancel_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> HttpResponse:
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    backfill = Backfill.objects.select_related("job").filter(pk=pk).first()
    if backfill is None:
        raise Http404
    job = _get_job(page, request, backfill.job_id)
    if cancel_backfill(backfill, by=str(request.user)):
        page.log_change(request, job, "Cancelled a backfill.")
        messages.success(request, f"{job}: the backfill is cancelled.")
    else:
        messages.info(request, f"{job}: that backfill has ended already.")
    return HttpResponseRedirect(reverse("admin:syncjobs_syncjob_backfill", args=[job.pk]))


def _get_job(page: ButtonsAdmin, request: HttpRequest, pk: UUID) -> SyncJob:
    job: SyncJob | None = page.get_object(request, str(pk))
    if job is None:
        raise Http404
    if not page.has_operate_permission(request, job):
        raise PermissionDenied
    return job


def _listed(job: SyncJob) -> dict[str, Any]:
    found = latest_backfills(job)
    live = any(progress.backfill.state == "active" for progress in found)
    return {"backfills": found, "live": live, "every_s": LIVE_EVERY_S}

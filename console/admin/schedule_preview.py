"""Shows what a job's form would do to its schedule, in words and next fires, while a person types."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from django.http import QueryDict
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.admin.schedule_fields import RULES, ScheduleFields, same_schedule
from console.schedule_plan import FIRES_SHOWN, SchedulePreview, plan_of
from syncjobs.models import SyncJob
from syncjobs.queries.fires import find_fires, plan_fires
from syncjobs.queries.parents import find_parent_problems, parents_of
from timing.clock import database_now


def preview(data: QueryDict, stored: SyncJob) -> SafeString:
    """`stored` is the job as it is, or a new one with its workspace, if that is known."""
    form = ScheduleFields(data)
    form.is_valid()
    written = form.write_schedule()
    job = copy.copy(stored)
    if written is not None:
        job.schedule = stored.schedule if same_schedule(written, stored.schedule) else written
        _check_parents(form, job)
    if form.errors:
        return _wrong(form)
    for name in RULES:
        setattr(job, name, form.cleaned_data[name])
    job.enabled = "enabled" in data
    return plan_ahead(job, stored).markup()


def plan_ahead(job: SyncJob, stored: SyncJob) -> SchedulePreview:
    """Plans the next fires of a job as if its edited fields were saved now."""
    if not job.enabled:
        return plan_of(job, [], "Disabled: it runs by hand only.")
    if stored.paused_at is not None:
        return plan_of(job, [], "Paused: it runs by hand only, until it is resumed.")
    if stored._state.adding:
        # Its share of the jitter comes with its id, when it is saved.
        even = copy.copy(job)
        even.jitter_s = 0
        return plan_of(job, plan_fires(even, None, database_now(), FIRES_SHOWN))
    if (
        stored.enabled
        and stored.schedule == job.schedule
        and stored.jitter_s == job.jitter_s
        and stored.next_run_at is not None
    ):
        return plan_of(job, find_fires(stored, FIRES_SHOWN))
    return plan_of(job, plan_fires(job, None, database_now(), FIRES_SHOWN))


def _check_parents(form: ScheduleFields, job: SyncJob) -> None:
    wanted = {job.name: parents_of(job.schedule)}
    own = [job.name] if job.name else []
    if job.workspace_id is not None:
        for problem in find_parent_problems(
            job.workspace_id, wanted, coming=own, instead_of=[job.pk]
        ):
            form.add_error("after_jobs", problem.message)


def _wrong(form: ScheduleFields) -> SafeString:
    return format_html(
        '<ul class="sp-wrong">{}</ul>', format_html_join("", "<li><b>{}</b> {}</li>", _faults(form))
    )


def _faults(form: ScheduleFields) -> Iterator[tuple[str, str]]:
    for name, errors in form.errors.items():
        label = form.fields[name].label if name in form.fields else ""
        yield f"{label}:" if label else "", " ".join(str(error) for error in errors)

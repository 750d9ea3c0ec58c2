"""The backfill page: a range is counted, confirmed, watched and cancelled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from syncjobs.configuration.jobs import save_job
from syncjobs.models import Backfill, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.backfilling import advance_backfills
from syncjobs.queueing.enqueueing import enqueue
from tests.console.conftest import Tenant
from tests.console.urls import list_of, page_of, press, status_of
from workspaces.models import Role

COUNTED = "2026-11-01T00:00:00+01:00 2026-11-07T12:00:00+01:00 7"
GIVEN = {
    "since": "2026-11-01T00:00",
    "until": "2026-11-07T12:00",
    "parallel": "2",
    "mode": "incremental",
}


def _page(job: SyncJob) -> str:
    return reverse("admin:syncjobs_syncjob_backfill", args=[job.pk])


def _live(job: SyncJob) -> str:
    return reverse("admin:syncjobs_syncjob_backfills_live", args=[job.pk])


def _cancel(backfill: Backfill) -> str:
    return reverse("admin:syncjobs_syncjob_backfill_cancel", args=[backfill.pk])


def test_a_range_is_counted_before_it_is_confirmed(acme: Tenant, root: Client) -> None:
    assert _page(acme.job) in root.get(status_of(acme.job)).content.decode()
    empty = root.get(_page(acme.job)).content.decode()
    assert "Times are on the clock of Europe/Berlin" in empty
    assert 'name="confirmed"' not in empty
    counted = root.post(_page(acme.job), GIVEN).content.decode()
    assert "<b>7 fires</b>" in counted
    assert 'name="confirmed"' in counted
    assert not Backfill.objects.exists()
    later = root.post(_page(acme.job), GIVEN | {"until": "2026-11-08T12:00", "confirmed": COUNTED})
    assert "<b>8 fires</b>" in later.content.decode()  # not what was counted: it is counted again
    assert not Backfill.objects.exists()
    assert root.post(_page(acme.job), GIVEN | {"confirmed": COUNTED}).status_code == 302
    made = Backfill.objects.get()
    assert (made.fires, made.parallel, made.requested_by) == (7, 2, "root")
    assert made.since == datetime(2026, 11, 1, 1, tzinfo=UTC)  # 02:00 in Berlin


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"until": "2026-10-01T00:00"}, "The end of the range lies before its beginning."),
        ({"until": "2026-11-01T01:00"}, "The schedule has no fire from"),
        ({"parallel": "0"}, "greater than or equal to 1"),
        ({"since": "some day"}, "Enter a valid date/time."),
        ({"mode": "other"}, "not one of the available choices"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused(
    changed: dict[str, str], says: str, acme: Tenant, root: Client
) -> None:
    answer = root.post(_page(acme.job), GIVEN | changed | {"confirmed": COUNTED})
    assert says in answer.content.decode()
    assert not Backfill.objects.exists()


def test_its_progress_is_shown_until_it_ends(acme: Tenant, root: Client) -> None:
    root.post(_page(acme.job), GIVEN | {"confirmed": COUNTED})
    advance_backfills()
    live = root.get(_live(acme.job)).content.decode()
    assert "0 of 7 fires: 2 queued" in live
    assert f'hx-get="{_live(acme.job)}"' in live
    assert "0 of 7 fires: 2 queued" in root.get(status_of(acme.job)).content.decode()
    backfill = Backfill.objects.get()
    of_it = root.get(f"{list_of(SyncRecord)}?backfill={backfill.pk}")
    assert of_it.status_code == 200
    assert len(of_it.context["cl"].result_list) == 2
    root.post(_cancel(backfill))
    live = root.get(_live(acme.job)).content.decode()
    assert "2 of 7 fires: 2 cancelled" in live
    assert "hx-get" not in live
    assert "has ended already" in root.post(_cancel(backfill), follow=True).content.decode()


def test_backfills_are_for_operators_of_the_workspace(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    operator = browser_of(acme.people[Role.OPERATOR])
    viewer = browser_of(acme.people[Role.VIEWER])
    confirmed = GIVEN | {"confirmed": COUNTED}
    assert operator.post(_page(lab.job), confirmed).status_code == 404
    assert operator.get(_live(lab.job)).status_code == 404
    assert viewer.post(_page(acme.job), confirmed).status_code == 403
    assert viewer.get(_live(acme.job)).status_code == 403
    assert not Backfill.objects.exists()
    assert operator.post(_page(acme.job), confirmed).status_code == 302
    backfill = Backfill.objects.get()
    assert operator.get(_cancel(backfill)).status_code == 405
    assert viewer.post(_cancel(backfill)).status_code == 403
    assert browser_of(lab.people[Role.ADMIN]).post(_cancel(backfill)).status_code == 404
    backfill.refresh_from_db()
    assert backfill.state == "active"


def test_a_job_without_fires_offers_no_backfill(acme: Tenant, root: Client) -> None:
    assert _page(acme.job) in root.get(status_of(acme.job)).content.decode()
    acme.job.schedule = {}
    save_job(acme.job)
    assert _page(acme.job) not in root.get(status_of(acme.job)).content.decode()
    text = root.post(_page(acme.job), GIVEN).content.decode()
    assert "A job that runs by hand has no fires of its own." in text


def test_sync_now_of_a_job_that_does_not_overlap_leads_to_what_is_at_work(
    acme: Tenant, root: Client
) -> None:
    acme.job.overlap = "skip"
    save_job(acme.job)
    record = enqueue(acme.job, trigger=Trigger.MANUAL)
    answer = root.post(press(acme.job, "sync"), follow=True)
    assert answer.redirect_chain[0][0] == page_of(record)
    assert "Not queued: job acme-job does not overlap" in answer.content.decode()
    assert SyncRecord.objects.filter(state="queued").count() == 1

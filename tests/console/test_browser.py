"""A person's way through the console in a real browser: log in, look at jobs, watch a record."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import ConsoleMessage, Dialog, Error, Page, Request
from pytest_django.live_server_helper import LiveServer

from datasets.store import ensure_store
from outbox.delivery import deliver
from outbox.intake import take
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.backfilling import advance_backfills
from tests.console.conftest import PLAN, Tenant, make_person, make_record, make_tenant
from tests.console.test_pages import all_pages
from tests.console.test_streams import point_at
from tests.console.urls import list_of, page_of, status_of
from tests.outbox.hosts import keys, running_receiver
from tests.outbox.rows import readings

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class Watch:
    """What a page asks for, and what goes wrong in it."""

    def __init__(self, page: Page) -> None:
        self.urls: list[str] = []
        self.problems: list[str] = []
        page.on("request", self._request)
        page.on("pageerror", self._error)
        page.on("dialog", self._dialog)

    def polls(self) -> int:
        return sum("/live/" in url for url in self.urls)

    def _request(self, request: Request) -> None:
        self.urls.append(request.url)

    def _error(self, error: Error) -> None:
        self.problems.append(str(error))

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(dialog.message)
        dialog.dismiss()


def _log_in(page: Page, server: LiveServer) -> None:
    person = make_person("ada", superuser=True)
    page.goto(f"{server.url}/admin/")
    page.fill("input[name=username]", person.username)
    page.fill("input[name=password]", "pass-ada")
    page.click("button[type=submit]")
    page.get_by_role("heading", name="Overview").wait_for()


def agree(page: Page) -> None:
    """Presses the button of the dialog that a form asks in."""
    page.locator("#ask [data-go]").click()


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    ensure_store()
    return make_tenant("acme")


def test_a_record_page_moves_by_itself_until_the_end(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    record = make_record(
        tenant.job, State.RUNNING, percentage=25, current_file_index=5, total_files=20
    )
    seen = Watch(page)

    _log_in(page, live_server)
    page.goto(live_server.url + list_of(type(tenant.job)))
    assert "acme-job" in page.inner_text("#result_list")

    page.goto(live_server.url + page_of(record))
    assert "file 5 of 20" in page.inner_text("#record-live")
    rows = SyncRecord.objects.filter(pk=record.pk)
    rows.update(percentage=75, current_file_index=15)
    page.get_by_text("file 15 of 20").wait_for()
    rows.update(
        state=State.SUCCEEDED,
        lease_owner=None,
        lease_expires_at=None,
        finished_at=timezone.now(),
        files_added=20,
    )
    page.locator("#record-live[data-state=succeeded]").wait_for()
    assert page.get_attribute("#record-live", "hx-get") is None
    polls = seen.polls()
    assert polls >= 2

    # The final page asks no more: the dashboard is seen to, which asks less often.
    other = page.context.new_page()
    with other.expect_request(lambda request: request.url.endswith("/dashboard/")):
        other.goto(f"{live_server.url}/admin/")
    assert seen.polls() == polls
    assert [url for url in seen.urls if not url.startswith(live_server.url)] == []
    assert seen.problems == []


def test_sync_now_from_the_list_leads_to_the_record(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    _log_in(page, live_server)
    page.goto(live_server.url + list_of(type(tenant.job)))
    page.click("button[title='Sync now']")
    page.locator("#record-live[data-state=queued]").wait_for()
    page.get_by_role("button", name="Cancel").click()
    agree(page)
    page.locator("#record-live[data-state=cancelled]").wait_for()


def test_the_schedules_fields_follow_its_form(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    _log_in(page, live_server)
    page.goto(live_server.url + page_of(tenant.job))
    assert page.is_visible("input[name=cron]")
    page.select_option("select[name=schedule_form]", "weekly")
    page.wait_for_selector("select[name=weekday]", state="visible")
    assert not page.is_visible("input[name=cron]")
    page.fill("input[name=at]", "03:15")
    page.click("button[name=_continue]")
    page.get_by_text("03:15:00 Europe/Berlin").first.wait_for()
    tenant.job.refresh_from_db()
    assert tenant.job.schedule["frequency"] == "weekly"


def test_a_selection_is_confirmed_and_a_plan_is_applied(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    _log_in(page, live_server)
    page.goto(live_server.url + page_of(tenant.job))
    page.fill("textarea[name=include]", "**/*.txt")
    page.select_option("select[name=after_publish]", "move")
    page.wait_for_selector("input[name=move_to]", state="visible")
    page.select_option("select[name=after_publish]", "keep")
    page.wait_for_selector("input[name=move_to]", state="hidden")
    page.click("button[name=_continue]")
    assert "1 of 1 files leave the next version" in page.inner_text("#selection-preview")
    page.get_by_role("button", name="Save this selection").click()
    page.locator("#job-figures").wait_for()
    tenant.job.refresh_from_db()
    assert tenant.job.include == ["**/*.txt"]

    plan = make_record(tenant.job, dry_run=True, plan=PLAN)
    page.goto(live_server.url + page_of(plan))
    page.get_by_role("button", name="Apply this plan").click()
    agree(page)
    page.locator("#record-live[data-state=queued]").wait_for()
    assert SyncRecord.objects.get(applies_id=plan.pk).guards_waived


def test_the_schedule_is_told_while_one_types(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    for name in ("first", "second"):
        save_job(SyncJob(workspace=tenant.workspace, connector=tenant.connector, name=name))
    seen = Watch(page)
    _log_in(page, live_server)
    page.goto(live_server.url + page_of(tenant.job))
    told = page.locator("#schedule-plan")
    told.get_by_text("At 02:00 every day (Europe/Berlin)").wait_for()

    page.get_by_label("Cron expression").fill("15 4 * * 1-5")
    told.get_by_text("At 04:15 on Monday through Friday (Europe/Berlin)").wait_for()
    assert told.get_by_role("listitem").count() == 5
    page.get_by_label("Cron expression").fill("15 4 * *")
    told.get_by_text("give five: minute").wait_for()
    page.get_by_label("Cron expression").fill("15 4 * * *")
    page.locator("summary", has_text="Advanced").click()
    page.get_by_label("Only within these windows").fill("mno 8:00-9:00")
    told.get_by_text("did you mean mon?").wait_for()
    page.get_by_label("Only within these windows").fill("mon-fri 08:00-09:00 Europe/Berlin")
    told.get_by_text("waits for its window").first.wait_for()

    page.locator("select[name=schedule_form]").select_option("after")
    told.get_by_text("Say which jobs").wait_for()
    # By keyboard alone: the names are offered as one types, Enter takes the first.
    page.get_by_role("searchbox", name="After these jobs").focus()
    page.keyboard.type("seco")
    page.get_by_role("option", name="second", exact=True).wait_for()
    page.keyboard.press("Enter")
    told.get_by_text("when second has succeeded").wait_for()
    page.click("button[name=_continue]")
    page.get_by_text("was changed successfully").wait_for()
    tenant.job.refresh_from_db()
    assert tenant.job.schedule == {"after": ["second"]}
    assert tenant.job.windows[0]["from"] == "08:00"
    windows = page.get_by_label("Only within these windows").input_value()
    assert windows == "mon-fri 08:00-09:00 Europe/Berlin"
    assert seen.problems == []


def test_what_cannot_be_saved_keeps_its_text(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    _log_in(page, live_server)
    page.goto(live_server.url + page_of(tenant.workspace))
    page.get_by_label("Never within these blackouts").fill("2026-12-24 - 2026-12-26")
    page.click("button[name=_continue]")
    page.get_by_text("each with date and time").wait_for()
    shown = page.get_by_label("Never within these blackouts")
    assert shown.input_value() == "2026-12-24 - 2026-12-26"
    shown.fill("2026-12-24 00:00 - 2026-12-27 00:00 Europe/Berlin  Christmas")
    page.click("button[name=_continue]")
    page.get_by_text("was changed successfully").wait_for()
    assert shown.input_value() == "2026-12-24 00:00+01:00 - 2026-12-27 00:00+01:00  Christmas"


def test_a_backfill_is_counted_confirmed_watched_and_cancelled(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    seen = Watch(page)
    _log_in(page, live_server)
    page.set_viewport_size({"width": 420, "height": 900})
    page.goto(live_server.url + status_of(tenant.job))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("link", name="Backfill").click()
    page.get_by_label("From").fill("2026-11-01T00:00")
    page.get_by_label("To, included").fill("2026-11-07T12:00")
    page.get_by_role("button", name="Count its fires").click()
    page.get_by_text("This range holds 7 fires").wait_for()
    page.get_by_role("button", name="Queue 7 records").click()
    page.locator("#backfills").get_by_text("0 of 7 fires").wait_for()
    advance_backfills()
    page.locator("#backfills").get_by_text("0 of 7 fires: 1 queued").wait_for()
    page.locator("#backfills").get_by_role("button", name="Cancel").click()
    page.locator("#backfills").get_by_text("1 of 7 fires: 1 cancelled").wait_for()
    assert page.get_attribute("#backfills", "hx-get") is None
    assert seen.problems == []


def test_no_page_asks_for_what_its_policy_refuses(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    """Every page of the console, the log-in, an invitation and the document of REST."""
    person = make_person("ada", superuser=True)
    pages = all_pages(tenant, person)
    refused: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "violates" in message.text:
            refused.append(f"{page.url}: {message.text}")

    page.on("console", listen)
    page.on("pageerror", lambda error: refused.append(f"{page.url}: {error}"))
    assert page.goto(f"{live_server.url}{pages[-1]}")
    page.goto(f"{live_server.url}/admin/")
    page.fill("input[name=username]", person.username)
    page.fill("input[name=password]", "pass-ada")
    page.click("button[type=submit]")
    page.get_by_role("heading", name="Overview").wait_for()
    for path in (*pages, "/api-docs"):
        answer = page.goto(
            f"{live_server.url}{path}", wait_until="networkidle" if path == "/api-docs" else "load"
        )
        assert answer is not None
        assert "script-src 'self'" in answer.headers["content-security-policy"], path
    assert refused == []
    page.get_by_text("SyncProject").first.wait_for()
    page.goto(f"{live_server.url}/admin/")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))"
    )
    assert page.evaluate("window.ran") is None
    assert len(refused) == 1


def test_a_streams_page_moves_by_itself_and_asks_before_it_stops(
    page: Page, tenant: Tenant, live_server: LiveServer, tmp_path: Path
) -> None:
    stream = tenant.stream
    with running_receiver(tmp_path / "taken.jsonl") as receiver:
        point_at(receiver, stream)
        receiver.control(reject=dict.fromkeys(keys(3), "no such meter"), times=1)
        take(stream, readings(*range(1500)))
        _log_in(page, live_server)
        page.goto(live_server.url + page_of(stream))
        page.locator("#stream-live[data-queued='1500']").wait_for()
        deliver(stream.pk, Heart("test"))
        page.locator("#stream-live[data-queued='0']").wait_for()
        assert "1001" in page.inner_text("#stream-live")
        assert len(receiver.keys) == 1499

        page.get_by_role("link", name="1", exact=True).first.click()
        page.get_by_role("link", name=f"Edit and send {keys(3)[0]}").click()
        page.fill("textarea[name=payload]", '{"value": 33}')
        page.get_by_role("button", name="Send this").click()
        page.get_by_text("1 reading is in the queue again").wait_for()
        deliver(stream.pk, Heart("test"))
        assert len(receiver.keys) == 1500

        page.goto(live_server.url + page_of(stream))
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Not now").click()
        assert page.get_attribute("#stream-live", "data-state") == "running"
        page.get_by_role("button", name="Stop").click()
        agree(page)
        page.locator("#stream-live[data-state=stopped]").wait_for()
        page.get_by_role("button", name="Start").click()
        page.locator("#stream-live[data-state=running]").wait_for()

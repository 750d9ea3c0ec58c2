"""Pages about rows: tables to pick from, a job for one of them, a held change of the schema, the quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from connectors.models import Connector
from farends.rest.options import RestOptions, RestSecret
from farends.spec import Target
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncRecord
from syncjobs.records.asking import digest_of_hold
from tests.api.row_sources import fill
from tests.console.conftest import Tenant, make_person, make_record
from tests.console.urls import page_of
from tests.hosts.databases import Database, making_database
from tests.rows import make_connector, make_job, run
from workspaces.models import Member, Role

pytestmark = pytest.mark.django_db(transaction=True)

CHANGE = {
    "table": "public.orders",
    "column": "qty",
    "change": "changed",
    "from": "integer",
    "to": "text",
    "offers": ["rebuild", "new_column", "stop"],
}
HELD = {
    "rule": "schema_change",
    "reason": "the source's columns are others than the table's: qty was changed",
    "removed": 0,
    "table_rows": 100,
    "sample_keys": [],
    "schema_changes": [CHANGE],
}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    settings.OWN_LISTENERS = ()
    with making_database() as made:
        fill(made)
        yield made


@pytest.fixture
def shop(acme: Tenant, database: Database) -> Connector:
    return make_connector(database.target(), kind="sql")


@pytest.fixture
def job(shop: Connector) -> SyncJob:
    return make_job(shop, name="orders", entity={"table": "orders"})


@pytest.fixture
def held(job: SyncJob) -> SyncRecord:
    hold = {"rule": "schema_change", "files": 0, "tables": {"public.orders": HELD}}
    return make_record(job, State.HELD, hold=hold, error=HELD["reason"], rows_read=100)


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(make_person("ada", superuser=True))
    return client


def test_a_table_is_picked_and_its_job_is_made(browser: Client, shop: Connector) -> None:
    start = browser.post(f"{page_of(shop).removesuffix('change/')}press/tables/")
    assert start.status_code == 302
    listed = browser.get(start["Location"], {"prefix": "public.o"}).content.decode()
    assert "public.orders" in listed
    assert "public.keyless" not in listed
    answer = browser.get(f"{start['Location']}?table={quote('public.orders')}")
    shown = answer.content.decode()
    assert "customer 20" in shown
    assert "timestamp with time zone" in shown
    assert "customer 21" not in shown
    assert not SyncJob.objects.filter(connector=shop).exists()

    url = answer.context["chosen"]["job_url"]
    wanted = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert wanted["entity"] == '{"schema": "public", "table": "orders"}'
    form = browser.get(url).context["adminform"].form
    assert form["cursor"].value() == '"xmin"'
    given = {**wanted, "schedule_form": "manual", "misfire": "run_once", "enabled": "on"}
    saved = browser.post(urlsplit(url).path, given)
    assert saved.status_code == 302, saved.context["adminform"].form.errors
    job = SyncJob.objects.get(connector=shop)
    assert (job.entity, job.cursor) == ({"schema": "public", "table": "orders"}, "xmin")


def test_the_form_of_a_job_of_rows_has_its_options_alone(browser: Client, job: SyncJob) -> None:
    fields = browser.get(page_of(job)).context["adminform"].form.fields
    assert {"entity", "cursor", "destination", "on_delete"} <= {*fields}
    assert {"include", "comparison", "after_publish"} & {*fields} == set()


def test_a_table_without_a_key_is_refused_in_the_form(browser: Client, shop: Connector) -> None:
    path = "/admin/syncjobs/syncjob/add/"
    given = {
        "workspace": str(shop.workspace_id),
        "connector": str(shop.pk),
        "name": "keyless",
        "entity": '{"table": "keyless"}',
        "sync_mode": "incremental",
        "schedule_form": "manual",
    }
    errors = browser.post(path, given).context["adminform"].form.errors
    assert "no primary key" in str(errors["key"])
    odd = browser.post(path, given | {"entity": '{"tabel": "x"}'}).context["adminform"].form.errors
    assert "did you mean table?" in str(odd["entity"])
    assert browser.post(path, given | {"sync_mode": "full"}).status_code == 302


@pytest.mark.parametrize("answer", ["rebuild", "new_column", "stop"])
def test_a_changed_schema_is_shown_with_its_three_offers(
    browser: Client, held: SyncRecord, answer: str
) -> None:
    shown = browser.get(page_of(held)).content.decode()
    assert "Rebuild the column" in shown
    assert "/press/release/" not in shown
    assert "<code>integer</code>" in shown
    browser.post(
        f"{page_of(held).removesuffix('change/')}press/{answer}/",
        {"seen": digest_of_hold(held.hold)},
    )
    held.refresh_from_db()
    assert held.hold is not None
    assert (held.state, held.hold["answer"]) == ("queued", answer)


def test_a_plan_of_rows_is_applied_and_its_drift_is_shown(browser: Client, job: SyncJob) -> None:
    plan = run(job, dry_run=True)
    shown = browser.get(page_of(plan)).content.decode()
    assert "rows were read, and nothing was changed" in shown
    assert "None" not in shown
    pressed = browser.post(f"{page_of(plan).removesuffix('change/')}press/apply/")
    applying = SyncRecord.objects.get(applies_id=plan.pk)
    assert pressed["Location"] == page_of(applying)
    run(job)  # in the meantime
    assert execute(applying.pk, Heart("test")) == State.FAILED
    shown = browser.get(page_of(applying)).content.decode()
    assert "What differs from the approved plan" in shown
    assert "100 added, 0 changed, 0 removed" in shown
    assert "/press/replan/" in shown


def test_another_hold_has_the_usual_buttons(browser: Client, held: SyncRecord) -> None:
    tables = {"public.orders": HELD | {"schema_changes": [], "sample_keys": [{"id": "5"}]}}
    SyncRecord.objects.filter(pk=held.pk).update(
        hold={"rule": "empty_source", "files": 5, "tables": tables}
    )
    shown = browser.get(page_of(held)).content.decode()
    assert "/press/release/" in shown
    assert "/press/rebuild/" not in shown
    assert "id = 5" in shown


def test_quarantined_rows_are_read_corrected_and_dropped(browser: Client, job: SyncJob) -> None:
    record = make_record(job, State.PARTIAL, rows_read=10, rows_added=7, rows_failed=3)
    first, second, _ = (
        QuarantinedRow.objects.create(
            record=record, table="public.orders", key={"id": str(number)}, column="day",
            code="value", message="no date", raw=b"<b>\xff", values={"day": "2026-13-01"},
        )
        for number in range(3)
    )  # fmt: skip
    page = browser.get(page_of(record)).content.decode()
    place = f"{page_of(record).removesuffix('change/')}quarantine/"
    assert place in page
    shown = browser.get(place).content.decode()
    assert "&lt;b&gt;" in shown
    assert "2026-13-01" in shown
    assert browser.get(f"{place}send/").status_code == 405
    browser.post(f"{place}send/", {"row": first.pk, "values": '{"day": "2026-12-13"}'})
    again = SyncRecord.objects.get(trigger="redrive")
    assert again.redrive is not None
    assert again.redrive["values"] == {str(first.pk): {"day": "2026-12-13"}}
    browser.post(f"{place}send/", {"drop": second.pk})
    second.refresh_from_db()
    assert second.state == "dropped"
    wrong = browser.post(f"{place}send/", {"row": first.pk, "values": "{"}, follow=True)
    assert "Nothing was sent" in wrong.content.decode()


def test_T20_these_pages_are_for_operators_of_the_workspace(
    client: Client, shop: Connector, held: SyncRecord
) -> None:
    person = make_person("eve")
    tables = f"{page_of(shop).removesuffix('change/')}tables/"
    place = f"{page_of(held).removesuffix('change/')}quarantine/"
    client.force_login(person)
    assert [client.get(url).status_code for url in (tables, place)] == [404, 404]
    Member.objects.create(workspace=shop.workspace, user=person, role=Role.VIEWER)
    assert client.get(tables).status_code == 403
    assert client.get(place).status_code == 200
    assert client.post(f"{place}send/").status_code == 403


def test_the_resources_of_an_api_are_edited_as_json(browser: Client, acme: Tenant) -> None:
    target = Target("api.example.com", 443, RestOptions(), RestSecret())
    api = make_connector(target, kind="rest")
    form = browser.get(page_of(api)).context["adminform"].form
    given = {name: form[name].value() or "" for name in form.fields}
    given = {name: value for name, value in given.items() if value is not False}
    saved = browser.post(page_of(api), given | {"entities": '{"a": {"path": "/a"}}'})
    assert saved.status_code == 302, saved.context["adminform"].form.errors
    api.refresh_from_db()
    assert api.entities == {"a": {"path": "/a"}}
    odd = browser.post(page_of(api), given | {"entities": '{"a": {"pth": "/a"}}'})
    assert "did you mean path?" in str(odd.context["adminform"].form.errors["entities"])

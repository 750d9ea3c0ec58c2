"""Every page of the console and each list of REST in a large installation: at most so many queries, and bytes on the wire.

`make scale` runs it, in a small size first, so that a page which asks once for each row is found early. Times are told
by `make bench`.
"""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from benchmarks.surfaces.estate import Estate, build
from benchmarks.surfaces.pages import iter_pages, iter_rest, measure_page
from datasets.store import ensure_store
from syncjobs.models import SyncRecord
from workspaces.models import Member, Role, Workspace
from workspaces.tokens import create_token

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(3600),
    pytest.mark.scale,
]

SMALL = Estate(
    jobs=400, connectors=400, records=12_000, audits=500, alerts=300, streams=3, deliveries=300,
    dead_letters=200, large_dataset=500, planned=300, ledger=300, people=120,
)  # fmt: skip


@pytest.mark.parametrize(
    "estate",
    [
        pytest.param(SMALL, id="12000-records"),
        pytest.param(Estate(), id="1000000-records"),
    ],
)
def test_no_page_asks_or_sends_more_than_a_page_may(estate: Estate, settings: Settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    ensure_store()
    build(estate)
    assert SyncRecord.either.count() == estate.records
    people = get_user_model().objects
    root = people.create_user("root", is_staff=True, is_superuser=True)
    member = people.create_user("member", is_staff=True)
    for workspace in Workspace.objects.filter(name__in=("north", "south")):
        Member.objects.create(workspace=workspace, user=member, role=Role.ADMIN)
    found = []
    for person in (root, member):
        browser = Client()
        browser.force_login(person)
        for name, url in iter_pages():
            cost = measure_page(browser, name, url, follows=person is root)
            may_be_refused = person is member and cost.status in (302, 403, 404)
            if may_be_refused or cost.is_within:
                continue
            found.append(f"{person}, {cost.name}: {cost.status}, {cost.queries}, {cost.size_bytes}")
    _, token = create_token(Workspace.objects.get(name="north"), name="t", role=Role.VIEWER)
    program = Client(headers={"Authorization": f"Bearer {token}"})
    for name, url in iter_rest():
        cost = measure_page(program, name, url)
        if not cost.is_within:
            found.append(f"REST, {cost.name}: {cost.status}, {cost.queries}, {cost.size_bytes}")
    assert not found, "\n".join(found)

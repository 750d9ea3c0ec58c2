from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from tests.rows import make_connector, make_job, make_workspace
from workspaces.models import Role
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/workspaces/acme/sync-records"
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def ask(client: Client) -> Any:
    _, token = create_token(make_workspace(), name="ci", role=Role.VIEWER)

    def get(**query: Any) -> Any:
        return client.get(PATH, query, headers={"Authorization": f"Bearer {token}"})

    return get


def make_records(count: int, *, name: str = "nightly", state: State = State.SUCCEEDED) -> None:
    job = make_job(make_connector(TARGET), name=name)
    now = timezone.now()
    for number in range(count):
        record = SyncRecord.objects.create(
            workspace=job.workspace,
            job=job,
            connector=job.connector,
            trigger=Trigger.MANUAL,
            state=state,
            finished_at=now,
        )
        # Pairs at the same instant: the cursor must neither lose nor double one of them.
        at = now - timedelta(seconds=number // 2)
        SyncRecord.objects.filter(pk=record.pk).update(queued_at=at)


def test_pages_hold_each_record_once_the_newest_first(ask: Any) -> None:
    make_records(11)
    found, cursor = [], None
    while True:
        page = ask(limit=3, **({"cursor": cursor} if cursor else {})).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(found) == len({item["id"] for item in found}) == 11
    times = [item["queued_at"] for item in found]
    assert times == sorted(times, reverse=True)


def test_filters(ask: Any) -> None:
    make_records(2)
    make_records(1, name="other", state=State.FAILED)
    ids = {item["job"]: item["job_id"] for item in ask().json()["items"]}
    assert len(ask(job="nightly").json()["items"]) == 2
    assert len(ask(job=ids["other"]).json()["items"]) == 1
    assert len(ask(state="failed").json()["items"]) == 1
    assert len(ask(job="none").json()["items"]) == 0
    tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
    assert len(ask(since=tomorrow).json()["items"]) == 0
    assert len(ask(until=tomorrow).json()["items"]) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 10**9}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "asleep"}, "state"),
        ({"since": "yesterday"}, "since"),
        ({"cursor": "x"}, "cursor"),
    ],
)
def test_x11_a_wrong_query_says_which_field(ask: Any, query: dict[str, Any], field: str) -> None:
    answer = ask(**query)
    assert answer.status_code == 400
    told = answer.json()
    assert (told["title"], told["status"]) == ("Bad Request", 400)
    assert list(told["errors"]) == [field]


def test_a_list_costs_the_same_few_queries_however_long(
    ask: Any, django_assert_max_num_queries: Any
) -> None:
    make_records(30)
    with django_assert_max_num_queries(4):
        ask(limit=30)

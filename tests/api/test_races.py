"""Eight who give one name at the same moment: one gets it, the others are told that it is taken."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from django.db import transaction

from connectors.models import Connector
from datasets.models import Dataset
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob
from tests.api.asking import Asker, asker
from tests.racing import in_a_session, locked_by_another, race
from tests.rows import make_connector, make_job, make_workspace
from workspaces.models import Role, Workspace
from workspaces.races import work_again_after_races

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 8
CONNECTOR = {
    "name": "files",
    "kind": "sftp",
    "host": "files.example.com",
    "options": {"username": "sync"},
}
TARGET = Target("files.example.com", 22, SftpOptions(username="sync"), SftpSecret())


def answers_to(path: str, bodies: list[dict[str, Any]], *, table: str) -> list[Any]:
    programs: list[Asker] = [asker(Role.ADMIN, name=f"ci-{n}") for n in range(len(bodies))]
    runners = [
        partial(program.post, path, body) for program, body in zip(programs, bodies, strict=True)
    ]
    return race(runners, table=table)


def check_one_won(answers: list[Any]) -> None:
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {HTTPStatus.CREATED: 1, HTTPStatus.CONFLICT: len(answers) - 1}
    for answer in answers:
        if answer.status_code == HTTPStatus.CONFLICT:
            assert answer.json()["errors"] == {"name": ["This name is taken."]}
            assert "already" in answer.json()["detail"]


def test_connectors_of_one_name() -> None:
    check_one_won(answers_to("connectors", [CONNECTOR] * RACERS, table="connectors_connector"))
    assert Connector.objects.count() == 1


@pytest.mark.parametrize("table", ["datasets_dataset", "syncjobs_syncjob"])
def test_jobs_of_one_name(table: str) -> None:
    """None of them changes the job of the one who came first."""
    make_connector(TARGET)
    bodies = [{"name": "reports", "connector": "host-0", "settle_s": n} for n in range(RACERS)]
    answers = answers_to("sync-jobs", bodies, table=table)
    check_one_won(answers)
    (made,) = [answer.json() for answer in answers if answer.status_code == HTTPStatus.CREATED]
    assert SyncJob.objects.get().settle_s == made["settle_s"]
    assert Dataset.objects.count() == 1


def test_jobs_that_take_one_new_name() -> None:
    connector = make_connector(TARGET)
    jobs = [make_job(connector) for _ in range(RACERS)]
    program = asker(Role.ADMIN)
    runners = [partial(program.patch, f"sync-jobs/{job.pk}", {"name": "new"}) for job in jobs]
    statuses = Counter(answer.status_code for answer in race(runners, table="datasets_dataset"))
    assert statuses == {HTTPStatus.OK: 1, HTTPStatus.CONFLICT: RACERS - 1}


def test_a_row_that_another_has_for_too_long_is_told_as_busy() -> None:
    job = make_job(make_connector(TARGET))
    program = asker(Role.ADMIN)
    with locked_by_another("SELECT FROM syncjobs_syncjob WHERE id = %s FOR UPDATE", [job.pk]):
        busy = program.patch(f"sync-jobs/{job.pk}", {"settle_s": 7})
    assert busy.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert busy.headers["Retry-After"] == "1"
    assert busy.json()["detail"] == "Others are changing the same things just now: ask again."
    assert program.patch(f"sync-jobs/{job.pk}", {"settle_s": 7}).status_code == HTTPStatus.OK


def test_two_who_wait_for_each_other_both_come_through() -> None:
    """The database ends one of the two, which is worked at once more."""
    one, other = (make_workspace(name) for name in ("one", "other"))
    both_hold = threading.Barrier(2)
    tries = Counter[str]()

    def work(first: Workspace, second: Workspace) -> None:
        with transaction.atomic():
            Workspace.objects.select_for_update().get(pk=first.pk)
            tries[first.name] += 1
            if tries[first.name] == 1:
                both_hold.wait(60)
            Workspace.objects.select_for_update().get(pk=second.pk)

    with ThreadPoolExecutor(2) as pool:
        works = [partial(work, one, other), partial(work, other, one)]
        ends = [pool.submit(in_a_session, partial(work_again_after_races, each)) for each in works]
        for end in ends:
            end.result(60)
    assert sorted(tries.values()) == [1, 2]


def test_a_race_with_a_key_is_answered_the_same() -> None:
    programs = [asker(Role.ADMIN, name=f"ci-{n}") for n in range(RACERS)]
    runners = [partial(p.post, "connectors", CONNECTOR, Idempotency_Key="once") for p in programs]
    check_one_won(race(runners, table="connectors_connector"))

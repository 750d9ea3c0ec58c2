"""No answer costs more queries for more rows, and none more than ten."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.routes import Route, routes
from tests.api.test_doors import ask, things_of, token_of
from tests.console.conftest import make_record
from tests.rows import make_connector, make_job, make_version
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
QUERIES_MAX = 10
LISTS = 25
# These ask a far end, which these rows have none of; they read their connector and no more.
CALLING = ("/browse", "/entities", "/preview")
# A search has settings, statistics, two lists and a time limit for each: `test_search.py` bounds it.
APART = ("/search",)
READING = [r for r in routes() if r.method == "GET" and not r.path.endswith((*CALLING, *APART))]


def fill() -> None:
    """Twenty-five of everything, records in each state."""
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    for _ in range(LISTS):
        job = make_job(make_connector(target), schedule={"every_s": 3600})
        enqueue(job, trigger=Trigger.MANUAL)
        for state in (State.RUNNING, State.SUCCEEDED, State.FAILED):
            make_record(job, state)
        make_version(job.dataset, {"a.txt": b"a"})


@pytest.mark.parametrize("route", READING, ids=str)
def test_reading_costs_ten_queries_at_most(client: Client, route: Route) -> None:
    things, token = things_of("acme", route.path), token_of("acme", Role.ADMIN)
    fill()
    ask(client, route, things, token)  # the token's use is noted once a minute
    with CaptureQueriesContext(connection) as queries:
        answer = ask(client, route, things, token)
    assert answer.status_code == 200, answer.content
    assert len(queries) <= QUERIES_MAX, "\n".join(query["sql"][:150] for query in queries)

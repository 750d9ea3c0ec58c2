"""Workers as processes read an API into a table, and are killed meanwhile."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from django.db import connection

from connectors.secrets import unseal
from farends.rest.options import RestSecret
from syncjobs.core.states import State
from syncjobs.models import SyncMode, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.scripted_api import Asked, Odd, scripted_api
from tests.processes.conftest import Start
from tests.processes.records import owner_pid, until_final
from tests.rows import fresh, make_connector, make_job
from tests.rowwork.conftest import rows_of
from tests.rowwork.test_api_to_table import ITEMS, Authority, Shop, make_row

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_pain14_a_worker_that_is_killed_after_it_got_a_token_costs_neither_rows_nor_the_next_token(
    start: Start,
) -> None:
    """The authority has given a new refresh token for the old one: whoever takes the record over needs the new one."""
    shop, authority = Shop([make_row(number) for number in range(1, 9)]), Authority()
    came, killed = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Any:
        if asked.fields.get("authorization") != f"Bearer {authority.token}":
            return Odd(status="401 Unauthorized")
        if "after" in asked.query and not killed.is_set():
            came.set()
            killed.wait(60)
        return shop(asked)

    workers = [start("worker"), start("worker")]
    start("beat")
    with scripted_api(authority) as tokens, scripted_api(answer) as api:
        target = api.target(
            auth="oauth2_refresh_token",
            token_url=f"http://127.0.0.1:{tokens.port}/token",
            client_id="us",
            secret=RestSecret(client_secret="hush", refresh_token="refresh-0"),
        )
        connector = make_connector(target, kind="rest")
        job = make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL)
        record = enqueue(job, trigger=Trigger.MANUAL)
        assert came.wait(60), "no worker asked for the second page"
        victim = next(one for one in workers if one.popen.pid == owner_pid(fresh(record)))
        victim.send(signal.SIGKILL)
        killed.set()
        until_final(record)
    assert (record.state, record.rows_added) == (State.SUCCEEDED, 8)
    assert [row["id"] for row in rows_of(job, "items")] == [str(number) for number in range(1, 9)]
    assert unseal(fresh(connector))["refresh_token"] == authority.refresh_token
    assert authority.given == 2
    connection.close()

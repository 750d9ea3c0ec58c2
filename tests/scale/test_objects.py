"""T17 in its full size: 200,000 objects of an API, a hundred a page, into a table. `make scale` runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from syncjobs.core.states import State
from syncjobs.models import SyncMode
from tests.hosts.many_objects import many_objects, sized
from tests.hosts.many_objects_server import BIG, DIGITS
from tests.rows import make_connector, make_job, run
from tests.rowwork.conftest import table_of
from tests.scale.rss import rss_growth

pytestmark = [pytest.mark.scale, pytest.mark.django_db(transaction=True)]

COUNT, PAGE = 200_000, 100
MEMORY_BYTES_MAX = 64 << 20


def test_t17_two_hundred_thousand_objects_arrive_exactly_in_flat_memory(tmp_path: Path) -> None:
    with many_objects(COUNT, tmp_path) as host:
        connector = make_connector(host.target(), kind="rest")
        job = make_job(connector, entity=sized("cursor", PAGE), sync_mode=SyncMode.FULL)
        with rss_growth() as growth:
            record = run(job)
        assert host.count_asked() <= COUNT // PAGE + 2
    assert (record.state, record.rows_added) == (State.SUCCEEDED, COUNT)
    assert growth.peak_bytes < MEMORY_BYTES_MAX
    table = table_of(job, "items")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT id), sum(serial) = sum(%s + substr(id, 5)::numeric),"  # noqa: S608
            " bool_and(amount::text = %s || '.' || lpad((substr(id, 5)::int %% 100)::text, 2, '0')),"
            " bool_and(metadata ->> 'k' = substr(id, 5)::int::text), count(delinquent)"
            f' FROM "{table.schema}"."{table.relation}"',
            [BIG, DIGITS],
        )
        found = cursor.fetchone()
    assert found == (COUNT, COUNT, True, True, True, -(-COUNT // 3))

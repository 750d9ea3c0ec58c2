"""Q08, P9: two dispatchers, jobs of every kind in mixed zones, nine days across two changes of the clocks: each
fire gets one record.

5,000 jobs carry the marker `scale`: `make scale` runs them.
"""

from __future__ import annotations

import pytest

from events.models import SyncEvent
from syncjobs.models import SyncJob
from tests.scale.week import BEGIN, END, expected_fires, fields_of, simulate

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("count", [300, pytest.param(5_000, marks=pytest.mark.scale)])
def test_q08_p9_each_fire_of_a_week_across_dst_gets_one_record(count: int) -> None:
    served, wanted = simulate(count, seed=count)
    assert len(wanted) > 20 * count
    assert len(served) == len(set(served))
    assert set(served) == set(wanted)
    # None had to be told as served by another, or skipped.
    assert not SyncEvent.objects.exists()
    assert not SyncJob.objects.filter(next_run_at__lte=END).exists()


def test_the_enumeration_knows_the_hour_that_comes_twice() -> None:
    """02:30 in Berlin was twice on 25 October 2026, and the job is due once, 25 hours after the day before."""
    schedule = {"frequency": "daily", "time": "02:30", "timezone": "Europe/Berlin"}
    fires = list(expected_fires(SyncJob(schedule=schedule), None))
    hours = [(fire - BEGIN).total_seconds() / 3600 for fire in fires]
    assert hours[:3] == [0.5, 24.5, 49.5]
    zones = {fields_of(number)["schedule"].get("timezone") for number in range(300)}
    assert {"Europe/Berlin", "America/New_York", "UTC"} <= zones

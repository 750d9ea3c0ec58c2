from __future__ import annotations

import pytest

from syncjobs.core.overlaps import Older, Overlap, decide_overlap
from syncjobs.core.states import State


@pytest.mark.parametrize(
    ("policy", "queued", "running"),
    [
        (Overlap.QUEUE, Older.STAYS, Older.STAYS),
        (Overlap.SKIP, Older.KEEPS_OUT, Older.KEEPS_OUT),
        (Overlap.CANCEL_OLDER, Older.GIVES_WAY, Older.ENDS),
    ],
)
def test_the_policy_says_what_becomes_of_the_older_record(
    policy: Overlap, queued: Older, running: Older
) -> None:
    assert decide_overlap(policy, State.QUEUED) is queued
    assert decide_overlap(policy, State.RUNNING) is running

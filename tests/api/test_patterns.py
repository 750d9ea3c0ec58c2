"""What a job may not say of names is refused with words, over REST as everywhere."""

from __future__ import annotations

import pytest

from syncjobs.models import SyncJob
from tests.api.asking import asker
from tests.api.test_audit import TARGET
from tests.rows import make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "rule",
    [
        {"exclude": [r"re:(?!tmp).*"]},
        {"include": [r"re:(a)\1"]},
        {"filters": [r"- re:(?<=a)b"]},
    ],
)
def test_a_pattern_that_could_take_hours_is_refused(rule: dict[str, list[str]]) -> None:
    job = make_job(make_connector(TARGET))
    admin = asker(Role.ADMIN)
    made = admin.post("sync-jobs", {"name": "new", "connector": job.get_connector().name, **rule})
    edited = admin.patch(f"sync-jobs/{job.name}", rule)
    (field,) = rule
    for answer in (made, edited):
        assert answer.status_code == 400, answer.content
        assert field in answer.content.decode()
        assert "two rules of `filters`" in answer.content.decode()
    assert SyncJob.objects.count() == 1

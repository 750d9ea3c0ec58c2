"""Pages of jobs that read the files of a dataset, and have no connector."""

from __future__ import annotations

import pytest
from django.test import Client

from syncjobs.models import Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.test_reading_datasets import make_reader

pytestmark = pytest.mark.django_db


def test_every_page_of_the_console_shows_it(admin_client: Client) -> None:
    job = make_reader()
    record = enqueue(job, trigger=Trigger.MANUAL)
    for path in (
        "/admin/",
        "/admin/syncjobs/syncjob/",
        f"/admin/syncjobs/syncjob/{job.pk}/change/",
        "/admin/syncjobs/syncjob/add/",
        "/admin/syncjobs/syncrecord/",
        f"/admin/syncjobs/syncrecord/{record.pk}/change/",
    ):
        assert admin_client.get(path).status_code == 200, path
    page = admin_client.get(f"/admin/syncjobs/syncrecord/{record.pk}/change/")
    assert "the files of" in page.content.decode()

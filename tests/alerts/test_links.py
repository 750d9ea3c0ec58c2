"""Messages link to pages that the console has."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from alerts.core.words import SubjectKind
from alerts.links import find_page_of
from alerts.models import Alert

PAGES = {
    SubjectKind.JOB: "admin:syncjobs_syncjob_status",
    SubjectKind.CONNECTOR: "admin:connectors_connector_change",
    SubjectKind.STREAM: "admin:outbox_stream_change",
    SubjectKind.DATASET: "admin:datasets_dataset_change",
}


@pytest.mark.parametrize("kind", list(SubjectKind))
def test_a_message_links_to_a_page_of_the_console(kind: SubjectKind) -> None:
    subject, record = uuid.uuid4(), uuid.uuid4()
    page = reverse(PAGES[kind], args=[subject]) if kind in PAGES else reverse("admin:index")
    assert find_page_of(Alert(subject_kind=kind, subject_id=subject)) == page
    of_record = Alert(subject_kind=kind, subject_id=subject, record_id=record)
    assert find_page_of(of_record) == reverse("admin:syncjobs_syncrecord_change", args=[record])

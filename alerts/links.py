"""Addresses of the console's pages, for messages: where an alert can be understood and acted on."""

from __future__ import annotations

from django.conf import settings

from alerts.core.words import SubjectKind
from alerts.models import Alert

# Spelled out, because the URLs of the console are code that no sender wants to load. A test holds them to the console.
_PAGES = {
    SubjectKind.JOB: "syncjobs/syncjob/{id}/",
    SubjectKind.CONNECTOR: "connectors/connector/{id}/change/",
    SubjectKind.STREAM: "outbox/stream/{id}/change/",
    SubjectKind.DATASET: "datasets/dataset/{id}/change/",
    SubjectKind.WORKSPACE: "",
}
_RECORD = "syncjobs/syncrecord/{id}/change/"


def find_page_of(alert: Alert) -> str:
    """The path of the console's page that shows what is wrong: the record that it is about, else its subject."""
    page = _RECORD if alert.record_id else _PAGES[SubjectKind(alert.subject_kind)]
    return f"/admin/{page.format(id=alert.record_id or alert.subject_id)}"


def make_alert_url(alert: Alert) -> str:
    """The same as a whole URL, for messages."""
    return settings.PUBLIC_URL + find_page_of(alert)

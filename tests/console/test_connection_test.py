"""The way to a working SFTP connector, against OpenSSH: add, fill in, test, approve, test, sync."""

from __future__ import annotations

import contextlib
import getpass
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from connectors.models import Connector
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord
from tests.console.conftest import Tenant
from tests.console.urls import add_to, page_of, press
from tests.hosts.sshd import Sshd, fingerprint_of
from tests.rows import fill
from workspaces.places import CALLS_OF_WORKSPACE, calls

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_console_says_that_too_many_far_ends_are_called(acme: Tenant, root: Client) -> None:
    connector = acme.connector
    with contextlib.ExitStack() as held:
        for _ in range(CALLS_OF_WORKSPACE):
            held.enter_context(calls.held(1000, {str(connector.workspace_id): 1000}))
        page = root.post(press(connector, "test"), follow=True).content.decode()
    assert f"{CALLS_OF_WORKSPACE} far ends of its workspace are being called" in page
    connector.refresh_from_db()
    assert connector.last_test_at is None


def _outcomes(connector: Connector) -> dict[str, str]:
    connector.refresh_from_db()
    return {stage["stage"]: stage["outcome"] for stage in connector.last_test or []}


def test_from_nothing_to_a_synced_file_with_the_console_alone(
    sshd: Sshd, acme: Tenant, root: Client, tmp_path: Path
) -> None:
    fill(tmp_path / "far", {"reports/a.csv": b"one", "reports/b.csv": b"two"})
    workspace = {"workspace": str(acme.workspace.pk)}
    where = {"name": "far", "host": "127.0.0.1", "port": str(sshd.port)}
    root.post(add_to(Connector), {**workspace, **where, "kind": "sftp"})
    connector = Connector.objects.get(name="far")
    filled = {
        **where,
        "status": "active",
        "sync_interval_s": "3600",
        "option_username": getpass.getuser(),
        "option_root": str(tmp_path / "far"),
        "secret_private_key": sshd.private_key.replace("\n", "\r\n"),  # as browsers send it
    }
    assert root.post(page_of(connector), filled).status_code == 302

    root.post(press(connector, "test"))
    assert _outcomes(connector)["identity"] == "failed"
    approval = reverse("admin:connectors_connector_host_key", args=[connector.pk])
    shown = root.get(approval)
    fingerprints = [fingerprint_of(line) for line in sshd.host_keys.values()]
    assert any(each in shown.content.decode() for each in fingerprints)
    offered = shown.context["offered"].key
    approved = root.post(approval, {"offered": offered, "last": offered[-6:]}, follow=True)
    assert "test passed" in approved.content.decode()
    assert "failed" not in _outcomes(connector).values()
    page = root.get(page_of(connector)).content.decode()
    assert "What this host can do" in page
    assert "OpenSSH" in page

    job = {**workspace, "name": "far-job", "connector": str(connector.pk), "enabled": "on"}
    how = {"schedule_form": "manual", "sync_mode": "incremental", "on_delete": "keep_version"}
    how["after_publish"] = "keep"
    root.post(add_to(SyncJob), {**job, **how, "max_attempts": "1"})
    root.post(press(SyncJob.objects.get(name="far-job"), "sync"))
    record = SyncRecord.objects.get(job__name="far-job")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert (record.state, record.files_added) == (State.SUCCEEDED, 2)

    page = root.get(page_of(record)).content.decode()
    assert "reports/a.csv" in page
    listing = root.get(page_of(record.job.dataset), {"folder": "reports"})
    (row, *_), *_ = listing.context["rows"]
    url = reverse("admin:datasets_dataset_download", args=[record.job.dataset.pk, row.entry_id])
    response = root.get(url)
    assert b"".join(response) == b"one"
    response.close()


def test_another_host_drops_the_old_test_and_its_offer(acme: Tenant, root: Client) -> None:
    acme.connector.last_test = [
        {
            "stage": "identity",
            "outcome": "failed",
            "offered": "SHA256:of-another",
            "option": "host_key",
        }
    ]
    acme.connector.save()
    root.post(
        page_of(acme.connector),
        {
            "name": acme.connector.name,
            "host": "other.example.com",
            "port": "22",
            "status": "active",
            "sync_interval_s": "3600",
            "option_username": "sync",
            "secret_password": "again",
        },
    )
    acme.connector.refresh_from_db()
    assert acme.connector.host == "other.example.com"
    assert acme.connector.last_test is None

"""The audit trail: every change has its entry, in its transaction, by its actor; no secret is in it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob
from tests.api.asking import TREE, Asker, asker
from tests.api.test_access import send
from tests.rows import make_connector, make_job, make_workspace
from workspaces.acting import Actor, Door, acting
from workspaces.invitations import accept
from workspaces.models import AuditEntry, Invitation, Role

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-9f2c"
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
HOST = {
    "name": "host",
    "kind": "sftp",
    "host": "192.0.2.1",
    "options": {"username": "sync"},
    "secret": {"password": CANARY},
}


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def told(admin: Asker, **query: Any) -> list[tuple[str, str, str]]:
    """(kind, name, action) of each entry, the oldest first."""
    items = admin.items("audit", **query)
    return [(item["kind"], item["object_name"], item["action"]) for item in reversed(items)]


def test_each_change_by_rest_has_its_entry(admin: Asker) -> None:
    def do(method: str, path: str, body: Any = None) -> None:
        assert send(admin, method, path, body).status_code in (200, 201, 204)

    AuditEntry.objects.all().delete()
    do("POST", "connectors", HOST)
    do("PATCH", "connectors/host", {"max_running": 2})
    do("PATCH", "connectors/host", {"max_running": 2})  # changes nothing
    do("POST", "sync-jobs", {"name": "nightly", "connector": "host", "schedule": {}})
    do("POST", "sync-jobs/nightly/toggle")
    do("DELETE", "sync-jobs/nightly")
    do("DELETE", "connectors/host")
    do("POST", "tokens", {"name": "ci2"})
    do("POST", "invitations", {"name": "ada", "role": "operator"})
    with acting(lambda: Actor("token ci", Door.API)):
        accept(Invitation.objects.get(), User.objects.create_user("ada", password="x"))
    do("PATCH", "members/ada", {"role": "viewer"})
    do("DELETE", "members/ada")
    assert told(admin) == [
        ("connector", "host", "created"),
        ("connector", "host", "changed"),
        ("sync job", "nightly", "created"),
        ("sync job", "nightly", "changed"),
        ("sync job", "nightly", "deleted"),
        ("connector", "host", "deleted"),
        ("api token", AuditEntry.objects.get(kind="api token").object_name, "created"),
        ("invitation", "ada to acme", "created"),
        ("invitation", "ada to acme", "accepted"),
        ("member", "ada in acme", "created"),
        ("member", "ada in acme", "changed"),
        ("member", "ada in acme", "deleted"),
    ]
    assert {item["actor"] for item in admin.items("audit")} == {"token ci"}
    assert {item["door"] for item in admin.items("audit")} == {"api"}
    changed = admin.items("audit", action="changed", kind="connector")
    assert [item["changes"] for item in changed] == [{"max_running": [None, 2]}]
    assert told(admin, object="nightly", action="changed") == [("sync job", "nightly", "changed")]


def test_a_secret_is_said_to_be_given_anew_and_never_told(admin: Asker) -> None:
    send(admin, "POST", "connectors", HOST)
    send(admin, "PATCH", "connectors/host", {"secret": {"password": CANARY + "2"}})
    first, second = (
        item["changes"]["secret"] for item in reversed(admin.items("audit", kind="connector"))
    )
    assert (first, second) == ([None, "stored"], ["stored", "stored anew"])
    entries = json.dumps(list(AuditEntry.objects.values("changes", "object_name")))
    assert CANARY not in entries
    assert "sealed" not in entries


def test_an_entry_goes_back_with_its_change(admin: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(make_connector(TARGET))
    count = AuditEntry.objects.count()

    def broken(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("syncjobs.configuration.jobs._keep_parents", broken)  # after the entry
    job.name = "other"
    with pytest.raises(RuntimeError):
        save_job(job)
    assert AuditEntry.objects.count() == count
    assert not SyncJob.objects.filter(name="other").exists()


def test_what_is_refused_leaves_no_entry(admin: Asker) -> None:
    count = AuditEntry.objects.count()
    assert send(admin, "POST", "connectors", {**HOST, "port": 0}).status_code == 400
    assert send(asker(Role.VIEWER, name="low"), "POST", "connectors", HOST).status_code == 403
    assert not AuditEntry.objects.filter(kind="connector").exists()
    assert AuditEntry.objects.count() == count + 1  # the second token


def test_a_shell_acts_in_the_name_of_its_account(tmp_path: Path) -> None:
    make_workspace()
    file = tmp_path / "acme.yaml"
    file.write_text("workspaces: [{name: acme, max_running: 3}]")
    call_command("apply", str(file), stdout=StringIO())
    entry = AuditEntry.objects.get(kind="workspace")
    assert (entry.door, entry.changes) == (Door.COMMAND, {"max_running": [None, 3]})
    assert entry.actor not in ("", "nobody", "platform")


def test_nobody_sees_the_trail_of_another_workspace(admin: Asker) -> None:
    with acting(lambda: Actor("eve", Door.CONSOLE)):
        make_job(make_connector(TARGET, workspace="lab"))
    assert "eve" not in {item["actor"] for item in admin.items("audit")}
    assert AuditEntry.objects.filter(actor="eve").exists()


def test_pages_of_the_trail_follow_each_other(admin: Asker) -> None:
    job = make_job(make_connector(TARGET))
    for number in range(7):
        job.jitter_s = number + 1
        save_job(job)
    everything = [item["id"] for item in admin.items("audit")]
    assert [item["id"] for item in admin.items("audit", limit=2)] == everything
    assert everything == sorted(everything, reverse=True)
    for wrong in ("cursor=x", "since=then", "kind=", "limit=0"):
        assert (
            Client()
            .get(f"{TREE}/audit?{wrong}", headers={"Authorization": f"Bearer {admin.token}"})
            .status_code
            == 400
        )

from __future__ import annotations

import getpass
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from connectors import opening
from connectors.models import Connector, HostBudget
from connectors.secrets import unseal
from farends.http.transport import HttpOptions, HttpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncJob
from tests.api.asking import TREE, Asker, asker
from tests.console.conftest import make_record
from tests.hosts.scripted_http import scripted_http
from tests.hosts.sshd import Sshd
from tests.outbox.rows import make_stream
from tests.rows import fill, make_connector, make_job, make_workspace
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "canary-7f3b-password"
NEW: dict[str, Any] = {
    "name": "far",
    "kind": "sftp",
    "host": "files.example.com",
    "options": {"username": "sync", "root": "/exports"},
    "secret": {"password": CANARY},
}


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def send(who: Asker, method: str, path: str, body: Any = None) -> Any:
    return Client().generic(
        method,
        f"{TREE}/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {who.token}"},
    )


def test_a_connector_is_made_read_changed_and_deleted(admin: Asker) -> None:
    made = send(admin, "POST", "connectors", NEW)
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["port"], told["has_secret"], told["secret_fields"]) == (22, True, ["password"])
    assert (told["status"], told["auto_sync"], told["sync_interval_s"]) == ("active", False, 3600)
    by_id, by_name = admin.get(f"connectors/{told['id']}"), admin.get("connectors/far")
    assert by_id.json() == by_name.json() == told
    assert [item["name"] for item in admin.items("connectors")] == ["far"]
    assert [item["name"] for item in admin.items("connectors", kind="ftp")] == []

    changed = send(admin, "PATCH", "connectors/far", {"options": {"root": "/new"}}).json()
    assert changed["options"] == {"username": "sync", "root": "/new"}
    changed = send(admin, "PATCH", "connectors/far", {"options": {"root": None}}).json()
    assert changed["options"] == {"username": "sync"}
    put = send(admin, "PUT", "connectors/far", {**NEW, "name": "near", "secret": {"password": "x"}})
    assert (put.status_code, put.json()["name"]) == (200, "near")
    assert unseal(Connector.objects.get()) == {"password": "x"}
    assert send(admin, "DELETE", "connectors/near").status_code == 204
    assert admin.get("connectors/near").status_code == 404


def test_a_secret_goes_in_and_never_comes_out(admin: Asker) -> None:
    answers = [
        send(admin, "POST", "connectors", NEW),
        admin.get("connectors/far"),
        admin.get("connectors"),
        send(admin, "PATCH", "connectors/far", {"secret": {"private_key": CANARY}}),
        send(admin, "PATCH", "connectors/far", {"secret": {"pasword": CANARY}}),
        send(admin, "PATCH", "connectors/far", {"secret": CANARY}),
        send(admin, "PATCH", "connectors/far", {"secret": {"password": [CANARY]}}),
        send(admin, "POST", "connectors", NEW),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 400, 400, 400, 409]
    assert not any(CANARY in answer.content.decode() for answer in answers)
    assert "did you mean password?" in answers[4].json()["errors"]["secret.pasword"][0]
    assert answers[3].json()["secret_fields"] == ["password", "private_key"]
    row = Connector.objects.values().get()
    assert CANARY not in str(row)


def test_p13_a_secret_does_not_follow_to_another_host(admin: Asker) -> None:
    send(admin, "POST", "connectors", NEW)
    for change in (
        {"host": "evil.example.com"},
        {"port": 23},
        {"options": {"proxy": "http://x:1"}},
    ):
        refused = send(admin, "PATCH", "connectors/far", change)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["secret"])
    stored = Connector.objects.get()
    assert (stored.host, stored.port) == ("files.example.com", 22)
    moved = {"host": "other.example.com", "secret": {"private_key": "new"}}
    assert send(admin, "PATCH", "connectors/far", moved).status_code == 200
    assert unseal(Connector.objects.get()) == {"private_key": "new"}
    forgotten = send(admin, "PATCH", "connectors/far", {"host": "x.example.com", "secret": None})
    assert forgotten.json()["has_secret"] is False


def test_camel_case_bodies_are_understood(admin: Asker) -> None:
    """Its default job follows, as with the YAML."""
    body = {**NEW, "autoSync": True, "syncInterval": 900}
    told = send(admin, "POST", "connectors", body).json()
    assert (told["auto_sync"], told["sync_interval_s"]) == (True, 900)
    job = SyncJob.objects.get()
    assert (job.name, job.schedule, job.enabled) == ("far-auto", {"every_s": 900}, True)
    send(admin, "PATCH", "connectors/far", {"autoSync": False})
    job.refresh_from_db()
    assert job.enabled is False


def test_a_change_lets_paused_jobs_go_on(admin: Asker) -> None:
    send(admin, "POST", "connectors", NEW)
    job = make_job(Connector.objects.get())
    SyncJob.objects.update(paused_at=timezone.now(), paused_reason="it kept failing")
    send(admin, "PATCH", "connectors/far", {"secret": {"password": CANARY}})  # the same
    job.refresh_from_db()
    assert job.paused_at is not None
    send(admin, "PATCH", "connectors/far", {"secret": {"password": "another"}})
    job.refresh_from_db()
    assert job.paused_at is None


def test_one_that_jobs_use_is_not_deleted_and_they_are_named(admin: Asker) -> None:
    send(admin, "POST", "connectors", NEW)
    make_job(Connector.objects.get(), name="nightly")
    refused = send(admin, "DELETE", "connectors/far")
    assert refused.status_code == 409
    assert "nightly" in refused.json()["detail"]
    assert Connector.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "gopher"}, "kind"),
        ({"port": 0}, "port"),
        ({"port": "22"}, "port"),
        ({"host": "two words"}, "host"),
        ({"host": "nul\0"}, "host"),
        ({"options": {"user": "x"}}, "options.user"),
        ({"options": {"root": "a\0b"}}, "options.root.str"),
        ({"name": "-x"}, "name"),
        ({"max_running": 0}, "max_running"),
        ({"autosync": True}, "autosync"),
    ],
)
def test_what_does_not_fit_names_its_field(
    admin: Asker, change: dict[str, Any], field: str
) -> None:
    answer = send(admin, "POST", "connectors", {**NEW, **change})
    assert answer.status_code == 400
    assert any(name.startswith(field.partition(".str")[0]) for name in answer.json()["errors"])
    assert not Connector.objects.exists()


def test_x11_bodies_that_are_too_large_or_too_deep_are_refused(admin: Asker) -> None:
    large = send(admin, "POST", "connectors", {**NEW, "name": "x" * 10_000_000})
    assert large.status_code == 400
    assert large["Content-Type"] == "application/problem+json"
    deep = Client().generic(
        "POST",
        f"{TREE}/connectors",
        b'{"options":' * 10_000 + b"1" + b"}" * 10_000,
        content_type="application/json",
        headers={"Authorization": f"Bearer {admin.token}"},
    )
    assert deep.status_code == 400
    for number in ("1e400", "-1e400", "1" + "0" * 400):
        body = json.dumps({**NEW, "options": {"sessions": 0}}).replace(": 0}", f": {number}}}")
        raw = Client().generic(
            "POST",
            f"{TREE}/connectors",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {admin.token}"},
        )
        assert raw.status_code == 400, number


def test_from_nothing_to_a_look_at_the_far_end(sshd: Sshd, source: Path, admin: Asker) -> None:
    """Against OpenSSH: made, tested, the key approved, tested again, looked into."""
    fill(source, {"top.csv": b"one", "reports/a.csv": b"two", "reports/deep/b.csv": b"three"})
    body = {
        **NEW,
        "host": "127.0.0.1",
        "port": sshd.port,
        "options": {"username": getpass.getuser(), "root": str(source)},
        "secret": {"private_key": sshd.private_key},
    }
    assert send(admin, "POST", "connectors", body).status_code == 201
    told = admin.get("connectors/far/connectivity").json()
    assert (told["online"], told["last_test_at"], told["uptime_s"]) == (None, None, None)

    tested = admin.post("connectors/far/test")
    assert tested.status_code == 200, tested.content
    outcomes = {stage["stage"]: stage["outcome"] for stage in tested.json()["stages"]}
    assert tested.json()["passed"] is False
    assert (outcomes["connect"], outcomes["identity"], outcomes["log_in"]) == (
        "passed",
        "failed",
        "skipped",
    )
    (offered,) = [stage for stage in tested.json()["stages"] if stage["offered"]]
    assert offered["offered"] in offered["advice"]
    assert admin.get("connectors/far/connectivity").json()["online"] is False
    refused = admin.get("connectors/far/browse")
    assert (refused.status_code, refused.json()["code"]) == (502, "host_key_unknown")

    wrong = admin.post("connectors/far/approve-host-key", {"fingerprint": "SHA256:other"})
    assert wrong.status_code == 409
    right = {"fingerprint": offered["offered"]}
    approved = admin.post("connectors/far/approve-host-key", right)
    assert approved.json()["options"]["host_key"] == offered["offered"]
    assert admin.post("connectors/far/approve-host-key", right).status_code == 409
    assert admin.post("connectors/far/test").json()["passed"] is True
    told = admin.get("connectors/far/connectivity").json()
    assert (told["online"], told["last_test_passed"], told["circuit"]["state"]) == (
        True,
        True,
        "closed",
    )

    root = admin.get("connectors/far/browse").json()
    assert [(item["name"], item["type"]) for item in root["items"]] == [
        ("reports", "folder"),
        ("top.csv", "file"),
    ]
    assert (root["complete"], root["items"][1]["size_bytes"]) == (True, 3)
    below = admin.get("connectors/far/browse", {"path": "reports"}).json()
    assert [item["path"] for item in below["items"]] == ["reports/deep", "reports/a.csv"]
    for path in ("..", "reports/../..", "none", "reports//a", "/../etc"):
        assert admin.get("connectors/far/browse", {"path": path}).status_code == 404, path


def test_a_test_of_a_host_that_never_answers_ends(
    admin: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "TEST_S", 0.2)
    with scripted_http(lambda request, conversation: None) as host:
        target = Target("127.0.0.1", host.port, HttpOptions(), HttpSecret())
        connector = make_connector(target, kind="http")
        told = admin.post(f"connectors/{connector.name}/test").json()
    assert told["passed"] is False
    assert "longer than 0.2 s" in str(told["stages"])


def test_connectivity_tells_what_work_has_shown(admin: Asker) -> None:
    target = Target("192.0.2.1", 80, HttpOptions(), HttpSecret())
    connector = make_connector(target, kind="http")
    make_record(make_job(connector), State.FAILED, error_code="unreachable", error="no route")
    now = timezone.now()
    HostBudget.objects.create(
        workspace=make_workspace(),
        address=connector.address,
        failures=6,
        opened_until=now + timedelta(minutes=5),
        last_error="no answer",
        max_running=2,
    )
    told = admin.get(f"connectors/{connector.name}/connectivity").json()
    assert (told["online"], told["consecutive_failures"], told["max_running"]) == (False, 6, 2)
    assert (told["circuit"]["state"], told["last_error"]) == ("open", "no answer")
    assert told["last_failure_at"] is not None
    assert told["last_success_at"] is None
    HostBudget.objects.update(opened_until=now - timedelta(seconds=1))
    told = admin.get(f"connectors/{connector.name}/connectivity").json()
    assert told["circuit"] == {"state": "half_open", "until": None}


def test_a_list_costs_few_queries(admin: Asker, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        send(admin, "POST", "connectors", {**NEW, "name": f"far-{number}"})
    with django_assert_max_num_queries(4):
        assert len(admin.get("connectors").json()["items"]) == 30


@pytest.mark.parametrize(
    "form", ["https://user:{}@files.example.com/a.csv", "//{}@h/a", "http:{}//u:p@h"]
)
def test_an_address_that_holds_a_password_is_refused_and_never_shown(
    admin: Asker, form: str
) -> None:
    options = {"urls": ["/b.csv", form.format(CANARY)]}
    body = {"name": "web", "kind": "https", "host": "files.example.com", "options": options}
    answer = send(admin, "POST", "connectors", body)
    assert answer.status_code == 400
    assert "entry 2 holds a user name or password" in answer.content.decode()
    assert CANARY not in answer.content.decode()
    assert not Connector.objects.exists()


def test_what_takes_readings_is_no_source_and_stays_while_streams_send_to_it(admin: Asker) -> None:
    stream = make_stream()
    name = stream.client.name
    answer = admin.delete(f"connectors/{name}")
    assert answer.status_code == 409
    assert f"these streams send to it: {stream.name}" in answer.json()["detail"]

    answer = send(
        admin, "PATCH", f"connectors/{name}", {"kind": "sftp", "options": {"username": "me"}}
    )
    assert answer.status_code == 400
    assert "streams send to this connector" in answer.content.decode()
    answer = send(admin, "PATCH", f"connectors/{name}", {"auto_sync": True})
    assert (answer.status_code, "auto_sync" in answer.json()["errors"]) == (400, True)
    answer = send(admin, "POST", "sync-jobs", {"name": "j", "connector": name})
    assert (answer.status_code, "connector" in answer.json()["errors"]) == (400, True)
    assert not SyncJob.objects.exists()

    source = Target("127.0.0.1", 22, HttpOptions(), HttpSecret())
    job = make_job(make_connector(source, kind="http"))
    answer = send(
        admin, "PATCH", f"connectors/{job.get_connector().name}", {"kind": "client", "options": {}}
    )
    assert answer.status_code == 400
    assert "sync jobs use it" in answer.content.decode()
    stream.delete()
    assert admin.delete(f"connectors/{name}").status_code == 204

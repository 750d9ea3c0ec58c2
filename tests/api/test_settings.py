"""A workspace's own settings by REST: what `apply` takes of them, by the same rules and with the same trail."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.configuration.jobs import delete_workspace
from syncjobs.configuration.yaml_in import WORKSPACE_OWN, apply_configuration, write_settings
from syncjobs.configuration.yaml_out import export_configuration
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.asking import Asker, asker
from tests.hosts.sshd import Sshd
from tests.racing import race
from tests.rows import fill, make_connector, make_job, make_workspace, run
from workspaces.models import AuditEntry, Role, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
WINDOW = {"days": ["sat"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}
PERIOD = {"since": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z", "reason": "holidays"}
EVERYTHING = {
    "max_running": 3,
    "max_store_bytes": 5_000_000_000_000,
    "one_sync_at_a_time": True,
    "keep_versions": 10,
    "keep_days": 90,
    "keep_bytes": 1_000_000,
    "windows": [WINDOW],
    "blackouts": [PERIOD, {"from": "12:00", "to": "13:00"}],
}


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def trail() -> list[Any]:
    """Of the workspace's settings, the oldest first."""
    found = AuditEntry.objects.filter(kind="workspace", action="changed").order_by("pk")
    return [(entry.actor, entry.door, entry.changes) for entry in found]


def test_the_settings_are_those_that_apply_takes_and_export_tells(admin: Asker) -> None:
    workspace = Workspace.objects.get()
    told = admin.get("settings").json()
    assert (told.pop("id"), told.pop("name")) == (str(workspace.pk), "acme")
    del told["search"]  # see test_search_settings
    assert set(told) == set(WORKSPACE_OWN) == set(EVERYTHING)
    assert told == {
        "max_running": None,
        "max_store_bytes": None,
        "one_sync_at_a_time": False,
        "keep_versions": None,
        "keep_days": None,
        "keep_bytes": None,
        "windows": [],
        "blackouts": [],
    }
    changed = admin.patch("settings", EVERYTHING)
    assert changed.status_code == HTTPStatus.OK
    assert changed.json() == admin.get("settings").json()
    assert {name: changed.json()[name] for name in EVERYTHING} == EVERYTHING
    exported = export_configuration(Workspace.objects.all()).document
    assert exported == {"workspaces": [{"name": "acme", **EVERYTHING}]}
    assert [change.action for change in apply_configuration(exported)] == ["unchanged"]


def test_what_is_left_out_stays_and_null_lifts_a_limit(admin: Asker) -> None:
    admin.patch("settings", EVERYTHING)
    lifted: dict[str, Any] = dict.fromkeys(("max_running", "max_store_bytes", "keep_versions"))
    told = admin.patch("settings", lifted | {"windows": None, "one_sync_at_a_time": None}).json()
    assert {told[name] for name in lifted} == {None}
    assert (told["keep_days"], told["keep_bytes"]) == (90, 1_000_000)
    assert (told["windows"], told["one_sync_at_a_time"]) == ([WINDOW], True)
    assert admin.patch("settings", {"windows": []}).json()["windows"] == []


def test_a_viewer_reads_and_only_an_admin_writes(admin: Asker) -> None:
    for role in (Role.VIEWER, Role.OPERATOR):
        program = asker(role, name=role.value)
        assert program.get("settings").status_code == HTTPStatus.OK
        refused = program.patch("settings", {"max_running": 1})
        assert refused.status_code == HTTPStatus.FORBIDDEN
        assert "this needs admin" in refused.json()["detail"]
    assert admin.get("settings").json()["max_running"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_store_byte": 1}, "max_store_byte"),
        ({"name": "other"}, "name"),  # programs call it by its name
        ({"id": "00000000-0000-0000-0000-000000000000"}, "id"),
        ({"max_running": 0}, "max_running"),
        ({"max_running": "3"}, "max_running"),
        ({"max_running": 32_768}, "max_running"),
        ({"max_store_bytes": 1 << 63}, "max_store_bytes"),
        ({"one_sync_at_a_time": 1}, "one_sync_at_a_time"),
        ({"windows": [WINDOW | {"timezone": "Mars/Olympus"}]}, "windows"),
        ({"windows": [{"from": "25:00", "to": "06:00"}]}, "windows"),
        ({"windows": [WINDOW] * 51}, "windows"),
        ({"windows": [PERIOD]}, "windows"),
        ({"blackouts": [PERIOD | {"until": "2026-12-01T00:00:00Z"}]}, "blackouts"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_field_and_changes_nothing(
    admin: Asker, body: Mapping[str, Any], field: str
) -> None:
    answer = admin.patch("settings", {"max_running": 7, **body})
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert answer["Content-Type"] == "application/problem+json"
    assert {name.partition(".")[0] for name in answer.json()["errors"]} == {field}
    assert Workspace.objects.get().max_running is None
    assert trail() == []


def test_a_change_has_its_entry_and_no_change_has_none(admin: Asker) -> None:
    admin.patch("settings", {"max_running": 2})
    admin.patch("settings", {"max_running": 2})
    admin.patch("settings", {})
    admin.patch("settings", {"max_running": None, "one_sync_at_a_time": True})
    assert trail() == [
        ("token ci", "api", {"max_running": [None, 2]}),
        ("token ci", "api", {"max_running": [2, None], "one_sync_at_a_time": [False, True]}),
    ]


def test_an_entry_goes_back_with_its_change(admin: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("syncjobs.configuration.jobs.reopen", broken)  # after the entry
    answer = admin.patch("settings", {"max_running": 2, "windows": [WINDOW]})
    assert answer.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert Workspace.objects.get().max_running is None
    assert trail() == []


def test_changes_at_the_same_moment_do_not_undo_each_other(admin: Asker) -> None:
    bodies: list[dict[str, Any]] = [{name: value} for name, value in EVERYTHING.items()]
    runners = [partial(admin.patch, "settings", body) for body in bodies]
    answers = race(runners, table="workspaces_workspace")
    assert [answer.status_code for answer in answers] == [HTTPStatus.OK] * len(bodies)
    told = admin.get("settings").json()
    assert {name: told[name] for name in EVERYTHING} == EVERYTHING
    assert len(trail()) == len(bodies)


def test_a_file_that_is_applied_meanwhile_undoes_nothing(admin: Asker) -> None:
    document = {"workspaces": [{"name": "acme", "max_running": 3}]}
    runners: list[Any] = [
        partial(apply_configuration, document),
        partial(admin.patch, "settings", {"max_store_bytes": 9}),
    ]
    race(runners, table="workspaces_workspace")
    workspace = Workspace.objects.get()
    assert (workspace.max_running, workspace.max_store_bytes) == (3, 9)


def test_a_workspace_that_went_meanwhile_is_not_there(
    admin: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the token was let in, and before the row is held."""

    def late(row: Workspace, fields: Mapping[str, Any]) -> Workspace:
        delete_workspace(Workspace.objects.get(pk=row.pk))
        return write_settings(row, fields)

    monkeypatch.setattr("api.rest.workspace.write_settings", late)
    answer = admin.patch("settings", {"max_running": 2})
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert answer.json()["detail"] == "There is no such workspace."


def test_a_record_that_waits_for_a_window_looks_at_the_new_ones(admin: Asker) -> None:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    record = enqueue(make_job(make_connector(target)), trigger=Trigger.MANUAL)
    SyncRecord.objects.update(waiting_for="its window", not_before="2099-01-01T00:00Z")
    admin.patch("settings", {"blackouts": [PERIOD]})
    record.refresh_from_db()
    assert record.not_before is None


def test_a_sync_obeys_the_store_that_a_program_allows(
    admin: Asker, sshd: Sshd, source: Path
) -> None:
    fill(source, {"a.txt": b"a", "b.txt": bytes(1000)})
    job = make_job(make_connector(sshd.target(source)))
    assert make_workspace() == job.workspace
    admin.patch("settings", {"max_store_bytes": 1000})  # of 1001
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "quota_exceeded")
    assert record.bytes_transferred == 0
    admin.patch("settings", {"max_store_bytes": None})
    assert run(type(job).objects.get()).state == State.SUCCEEDED

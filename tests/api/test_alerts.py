"""`alert-rules`, `alert-channels` and `alerts`: saved, refused, listed and silenced."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from alerts.channel_secrets import unseal_channel_url
from alerts.core.words import ChannelState
from alerts.models import Alert, AlertChannel, AlertRule
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.api.asking import Asker, asker
from tests.hosts.alert_receiver import Reply, receiving_alerts
from tests.outbox.rows import make_stream
from tests.rows import make_connector, make_job, make_workspace
from workspaces.models import AuditEntry, Role

pytestmark = pytest.mark.django_db(transaction=True)

URL = "jsons://user:pa55word@hooks.example.com:8443/path/s3cret?token=t0ken"


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def operator() -> Asker:
    return asker(Role.OPERATOR, "operator")


@pytest.fixture
def viewer() -> Asker:
    return asker(Role.VIEWER, "viewer")


def make_reports_job() -> SyncJob:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    return make_job(make_connector(target), name="nightly-reports")


def put(who: Asker, path: str, body: Any) -> Any:
    return who._send("PUT", path, body, {})


def test_a_channel_is_made_read_changed_replaced_and_deleted(admin: Asker) -> None:
    made = admin.post("alert-channels", {"name": "ops", "url": URL})
    assert made.status_code == 201, made.content
    told = made.json()
    expected = {
        "name": "ops", "scheme": "jsons", "shown_url": "jsons://hooks.example.com", "min_severity": "info",
        "quiet_hours": "", "timezone": "UTC", "breaks_quiet": "critical", "group_s": 30, "most_per_hour": 20,
        "enabled": True, "state": "ok", "broken_since": None, "last_result": "", "last_delivery_at": None,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert set(told) == {*expected, "id"}
    assert admin.get("alert-channels/ops").json() == told
    assert admin.get(f"alert-channels/{told['id']}").json() == told
    assert admin.items("alert-channels") == [told]
    changes = {"quiet_hours": "22:00-07:00", "timezone": "Europe/Berlin", "min_severity": "warning"}
    changed = admin.patch("alert-channels/ops", changes).json()
    assert changed == told | changes
    assert put(admin, "alert-channels/ops", changed).json() == changed
    assert put(admin, "alert-channels/ops", {"name": "ops2"}).json() == told | {"name": "ops2"}
    assert unseal_channel_url(AlertChannel.objects.get()) == URL
    assert admin.delete("alert-channels/ops2").status_code == 204
    assert admin.get("alert-channels/ops2").status_code == 404
    entries = AuditEntry.objects.filter(kind="alert channel").order_by("id")
    assert [one.action for one in entries] == ["created", "changed", "changed", "deleted"]
    assert "pa55word" not in str([one.changes for one in entries])


def test_no_answer_and_no_refusal_has_a_part_of_a_channels_secret(admin: Asker) -> None:
    for url in (
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "pagerduty://integrationkey@apikey",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "ntfy://my-secret-topic",
    ):
        answer = admin.post("alert-channels", {"name": url.partition(":")[0], "url": url})
        assert answer.status_code == 201, answer.content
        shown = answer.json()["shown_url"]
        secrets = url.partition("://")[2].replace("@", "/").split("/")
        assert not [part for part in secrets if part in shown], shown
    refused = admin.post("alert-channels", {"name": "x", "url": "syslog://s3cret"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["url"])
    assert "pagerduty" in refused.json()["errors"]["url"][0]
    assert "s3cret" not in refused.content.decode()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": "a\0"}, "name"),
        ({"url": ""}, "url"),
        ({"url": "json"}, "url"),
        ({"url": "json://"}, "url"),
        ({"url": "json://a b"}, "url"),
        ({"url": "json://a/?attach=/etc/passwd"}, "url"),
        ({"url": "json://a:99999"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": None}, "url"),
        ({"min_severity": "huge"}, "min_severity"),
        ({"breaks_quiet": "never"}, "breaks_quiet"),
        ({"quiet_hours": "22-7"}, "quiet_hours"),
        ({"quiet_hours": "22:00-24:00"}, "quiet_hours"),
        ({"quiet_hours": "22:00-22:00"}, "quiet_hours"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"group_s": -1}, "group_s"),
        ({"group_s": 3601}, "group_s"),
        ({"most_per_hour": 0}, "most_per_hour"),
        ({"most_per_hour": True}, "most_per_hour"),
        ({"state": "ok"}, "state"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_channel_that_does_not_fit_is_refused_by_field(
    fields: dict[str, Any], field: str, admin: Asker
) -> None:
    answer = admin.post("alert-channels", {"name": "ops", "url": URL} | fields)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]
    assert not AlertChannel.objects.exists()


def test_a_channel_without_a_name_or_url_is_refused(admin: Asker) -> None:
    assert set(admin.post("alert-channels", {}).json()["errors"]) == {"name", "url"}


def test_a_literal_address_is_judged_when_it_is_saved(admin: Asker, settings: Settings) -> None:
    settings.ALLOWED_NETWORKS = ("127.0.0.0/8",)
    refused = admin.post("alert-channels", {"name": "a", "url": "json://169.254.169.254/"})
    told = refused.json()
    assert (refused.status_code, told["code"]) == (400, "forbidden_network")
    assert list(told["errors"]) == ["url"]
    for address in ("10.0.0.5", "[::1]"):
        answer = admin.post("alert-channels", {"name": "a", "url": f"json://{address}/"})
        assert answer.json()["code"] == "forbidden_network", address
    fine = admin.post("alert-channels", {"name": "a", "url": "json://127.0.0.1:8080/in"})
    assert (fine.status_code, fine.json()["shown_url"]) == (201, "json://127.0.0.1")


def test_a_new_address_mends_a_broken_channel_and_other_changes_do_not(admin: Asker) -> None:
    since = timezone.now()
    make_channel(state=ChannelState.BROKEN, broken_since=since, last_result="404")
    kept = admin.patch("alert-channels/ops", {"group_s": 5}).json()
    assert (kept["state"], kept["last_result"]) == ("broken", "404")
    same = admin.patch("alert-channels/ops", {"url": "json://hooks.example.com/secret"}).json()
    assert same["state"] == "broken"
    mended = admin.patch("alert-channels/ops", {"url": URL}).json()
    assert (mended["state"], mended["broken_since"], mended["last_result"]) == ("ok", None, "")


def test_a_name_that_is_taken_is_a_conflict(admin: Asker) -> None:
    make_channel("ops")
    make_rule("nightly")
    answer = admin.post("alert-channels", {"name": "ops", "url": URL})
    assert (answer.status_code, list(answer.json()["errors"])) == (409, ["name"])
    answer = admin.post("alert-rules", {"name": "nightly", "kind": "held"})
    assert (answer.status_code, list(answer.json()["errors"])) == (409, ["name"])


def test_a_rule_is_made_read_changed_replaced_and_deleted(admin: Asker) -> None:
    job = make_reports_job()
    channel = make_channel("ops")
    body = {
        "name": "nightly", "kind": "failures_in_a_row", "job": str(job.pk), "severity": "critical",
        "channels": [str(channel.pk)], "params": {"count": 3},
    }  # fmt: skip
    made = admin.post("alert-rules", body)
    assert made.status_code == 201, made.content
    told = made.json()
    expected = {
        "name": "nightly", "kind": "failures_in_a_row", "severity": "critical", "enabled": True,
        "job": "nightly-reports", "connector": None, "stream": None, "tag": None, "channels": ["ops"],
        "params": {"count": 3}, "firing": 0,
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert set(told) == {*expected, "id", "created_at", "updated_at"}
    assert admin.get("alert-rules/nightly").json() == told
    assert admin.get(f"alert-rules/{told['id']}").json() == told
    changed = admin.patch("alert-rules/nightly", {"tag": "night", "params": {"count": 5}}).json()
    assert (changed["job"], changed["tag"], changed["params"]) == (None, "night", {"count": 5})
    again = put(admin, "alert-rules/nightly", changed).json()
    assert again == changed
    replaced = put(admin, "alert-rules/nightly", {"name": "n2", "kind": "held"}).json()
    assert (replaced["severity"], replaced["tag"], replaced["channels"], replaced["params"]) == (
        "warning", None, [], {},
    )  # fmt: skip
    make_alert(AlertRule.objects.get(pk=told["id"]))
    assert admin.get("alert-rules/n2").json()["firing"] == 1
    assert admin.delete("alert-rules/n2").status_code == 204
    assert not Alert.objects.exists()
    entries = AuditEntry.objects.filter(kind="alert rule").order_by("id")
    assert [one.action for one in entries] == ["created", "changed", "changed", "deleted"]
    assert entries[0].changes["channels"] == [[], ["ops"]]
    assert entries[2].changes["channels"] == [["ops"], []]


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("failure", None, {}),
        ("held", {}, {}),
        ("suspect", None, {}),
        ("overdue", None, {"factor": 3}),
        ("overdue", {"factor": 1.5}, {"factor": 1.5}),
        ("nothing_ran", None, {"after_s": None}),
        ("nothing_ran", {"after_s": 3600}, {"after_s": 3600}),
        ("error_rate", {"percent": 20, "window_s": 3600}, {"percent": 20, "window_s": 3600}),
        ("offline", None, {"after_s": 300}),
        ("dead_letters", None, {"count": 1}),
        ("index_behind", {"after_s": None}, {"after_s": 900}),
        ("disk", None, {"free_percent": 10}),
    ],
)
def test_each_kind_has_its_parameters_with_their_defaults(
    kind: str, given: Any, told: dict[str, Any], admin: Asker
) -> None:
    body = {"name": "r", "kind": kind} | ({} if given is None else {"params": given})
    answer = admin.post("alert-rules", body)
    assert (answer.status_code, answer.json()["params"]) == (201, told), answer.content


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "failures_in_a_row"}, "params.count"),
        ({"kind": "failures_in_a_row", "params": {"count": 0}}, "params.count"),
        ({"kind": "failures_in_a_row", "params": {"count": 2.5}}, "params.count"),
        ({"kind": "failures_in_a_row", "params": {"count": "3"}}, "params.count"),
        ({"kind": "failures_in_a_row", "params": {"count": True}}, "params.count"),
        ({"kind": "failures_in_a_row", "params": {"count": None}}, "params.count"),
        ({"kind": "error_rate", "params": {"percent": 20}}, "params.window_s"),
        ({"kind": "error_rate", "params": {"percent": 101, "window_s": 60}}, "params.percent"),
        ({"kind": "overdue", "params": {"factor": 0.5}}, "params.factor"),
        ({"kind": "disk", "params": {"free_percent": 0}}, "params.free_percent"),
        ({"params": {"count": 3}}, "params.count"),
        ({"params": {"colour": 3}}, "params.colour"),
        ({"count": 3}, "count"),
        ({"kind": "anger"}, "kind"),
        ({"severity": "huge"}, "severity"),
        ({"job": "nobody"}, "job"),
        ({"connector": "nobody"}, "connector"),
        ({"kind": "dead_letters", "stream": "nobody"}, "stream"),
        ({"kind": "disk", "tag": "night"}, "tag"),
        ({"kind": "offline", "job": "nightly-reports"}, "job"),
        ({"stream": "meters"}, "stream"),
        ({"tag": "a\0b"}, "tag"),
        ({"channels": ["ops", "nobody"]}, "channels"),
        ({"channels": "ops"}, "channels"),
        ({"enabled": 1}, "enabled"),
        ({"name": ""}, "name"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_by_field(
    fields: dict[str, Any], field: str, admin: Asker
) -> None:
    make_reports_job()
    make_stream(name="meters")
    make_channel("ops")
    AlertRule.objects.all().delete()
    answer = admin.post("alert-rules", {"name": "r", "kind": "failure"} | fields)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]
    assert not AlertRule.objects.exists()


def test_a_rule_has_one_scope_at_most(admin: Asker) -> None:
    make_reports_job()
    body = {"name": "r", "kind": "failure", "job": "nightly-reports", "tag": "night"}
    answer = admin.post("alert-rules", body)
    assert (answer.status_code, set(answer.json()["errors"])) == (400, {"job", "tag"})


def test_a_rule_of_another_kind_gets_its_own_parameters(admin: Asker) -> None:
    admin.post("alert-rules", {"name": "r", "kind": "overdue", "params": {"factor": 7}})
    changed = admin.patch("alert-rules/r", {"kind": "offline"}).json()
    assert (changed["kind"], changed["params"]) == ("offline", {"after_s": 300})
    kept = admin.patch("alert-rules/r", {"severity": "info"}).json()
    assert kept["params"] == {"after_s": 300}
    refused = admin.patch("alert-rules/r", {"kind": "error_rate"})
    assert set(refused.json()["errors"]) == {"params.percent", "params.window_s"}


def test_alerts_are_listed_newest_first_by_state_severity_and_rule(
    viewer: Asker, settings: Settings
) -> None:
    warning, critical = make_rule("a"), make_rule("b", severity="critical")
    hour = timedelta(hours=1)
    old = make_alert(warning, opened_ago=3 * hour)
    silenced = make_alert(
        critical, opened_ago=2 * hour, silenced_until=timezone.now() + hour, silenced_by="ada"
    )
    resolved = make_alert(warning, opened_ago=hour, firing=False)
    once_silent = make_alert(critical, silenced_until=timezone.now() - hour, silenced_by="ada")
    Alert.objects.create(  # bad once, and not often enough to open
        workspace=warning.workspace, rule=warning, subject_kind="job", subject_id=uuid.uuid4()
    )

    def ids(**query: Any) -> list[str]:
        return [item["id"] for item in viewer.items("alerts", **query)]

    rows = [once_silent, resolved, silenced, old]
    assert ids() == ids(limit=1) == [str(row.pk) for row in rows]
    assert ids(state="firing") == [str(once_silent.pk), str(old.pk)]
    assert ids(state="silenced") == [str(silenced.pk)]
    assert ids(state="resolved") == [str(resolved.pk)]
    assert ids(severity="critical") == ids(rule="b") == [str(once_silent.pk), str(silenced.pk)]
    assert ids(rule=str(warning.pk), state="resolved") == [str(resolved.pk)]
    assert ids(rule="nobody") == []
    told = viewer.get(f"alerts/{old.pk}").json()
    assert told["subject"] == {
        "kind": "job", "id": str(old.subject_id), "name": "nightly-reports",
    }  # fmt: skip
    expected = {
        "id": str(old.pk), "rule": "a", "rule_id": str(warning.pk), "kind": "failure", "severity": "warning",
        "state": "firing", "record_id": None, "error_code": "root_missing", "occurrences": 1, "flapping": False,
        "resolved_at": None, "silenced_until": None, "silenced_by": "", "detail": "The root folder is missing.",
        "url": f"{settings.PUBLIC_URL}/admin/syncjobs/syncjob/{old.subject_id}/",
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert set(told) == {*expected, "subject", "opened_at", "last_seen_at"}
    assert viewer.get(f"alerts/{silenced.pk}").json()["silenced_by"] == "ada"
    for query in ({"state": "angry"}, {"severity": "huge"}, {"limit": 0}, {"cursor": "x"}):
        assert viewer.get("alerts", query).status_code == 400, query


def test_an_alert_is_silenced_until_a_time_and_told_to_speak_again(operator: Asker) -> None:
    alert = make_alert()
    until = (timezone.now() + timedelta(hours=4)).replace(microsecond=0)
    body = {"until": until.isoformat(), "reason": "Password change is ordered"}
    told = operator.post(f"alerts/{alert.pk}/silence", body).json()
    assert (told["state"], told["silenced_by"]) == ("silenced", "token operator")
    alert.refresh_from_db()
    assert (alert.silenced_until, alert.silence_reason) == (until, "Password change is ordered")
    told = operator.post(f"alerts/{alert.pk}/silence", {"until": None}).json()
    assert (told["state"], told["silenced_until"], told["silenced_by"]) == ("firing", None, "")
    alert.refresh_from_db()
    assert alert.silenced_until is not None  # so that what it still says is told once
    again = operator.post(f"alerts/{alert.pk}/silence", {"until": None})
    assert again.status_code == 200
    actions = AuditEntry.objects.filter(kind="alert").order_by("id")
    assert [one.action for one in actions] == ["silenced", "unsilenced"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "until"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "9999-12-31T00:00:00Z"}, "until"),
        ({"until": 5}, "until"),
        ({"until": None, "reason": "x" * 501}, "reason"),
        ({"until": None, "reason": "\0"}, "reason"),
        ({"until": None, "why": ""}, "why"),
    ],
)
def test_a_silence_that_does_not_fit_is_refused(
    body: dict[str, Any], field: str, operator: Asker
) -> None:
    answer = operator.post(f"alerts/{make_alert().pk}/silence", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


def test_another_workspaces_rows_are_not_named_by_a_rule(admin: Asker) -> None:
    theirs = make_channel("theirs", workspace=make_workspace("lab"))
    body = {"name": "r", "kind": "failure", "channels": [str(theirs.pk)]}
    answer = admin.post("alert-rules", body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["channels"])


def test_a_rule_that_names_a_deleted_channel_alone_tells_all(admin: Asker) -> None:
    make_channel("ops")
    admin.post("alert-rules", {"name": "r", "kind": "failure", "channels": ["ops"]})
    assert admin.delete("alert-channels/ops").status_code == 204
    assert admin.get("alert-rules/r").json()["channels"] == []


def test_c09_a_channel_is_tested_with_a_real_message_and_the_reason_is_told(
    operator: Asker, viewer: Asker, settings: Settings
) -> None:
    settings.ALLOWED_NETWORKS = ("127.0.0.0/8",)
    replies = [Reply(404), Reply(200)]
    with receiving_alerts(lambda _: replies.pop(0)) as receiver:
        channel = make_channel(url=receiver.url("/s3cret"))
        refused = operator.post("alert-channels/ops/test")
        assert refused.status_code == 200
        told = refused.json()
        assert set(told) == {"delivered", "code", "detail", "took_s", "delivery"}
        assert (told["delivered"], bool(told["code"]), "404" in told["detail"]) == (
            False,
            True,
            True,
        )
        assert "s3cret" not in refused.content.decode()
        AlertChannel.objects.update(state=ChannelState.BROKEN, broken_since=timezone.now())
        passed = operator.post("alert-channels/ops/test").json()
        assert (passed["delivered"], passed["code"], passed["detail"]) == (True, "", "")
        first, second = receiver.received
        assert (first.key, second.key) == (told["delivery"], passed["delivery"])
        assert (second.told["type"], second.told["syncproject"]["reason"]) == ("info", "test")
    shown = viewer.get(f"alert-channels/{channel.pk}").json()
    assert (shown["state"], shown["broken_since"], shown["last_result"]) == (
        "ok",
        None,
        "delivered",
    )
    assert viewer.post("alert-channels/ops/test").status_code == 403
    assert operator.post("alert-channels/nobody/test").status_code == 404
    kept = operator.post("alert-channels/ops/test", Idempotency_Key="a")
    assert kept.status_code == 400

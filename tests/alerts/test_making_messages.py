"""Who hears of a move, when, and in which bundle. Nothing is sent here: the messages are looked at."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from alerts.announcing import AlertMove
from alerts.core.words import MessageReason, Severity, Tell
from alerts.models import Alert, AlertChannel, AlertDeliveryTotal, AlertMessage, Notification
from alerts.sending.making import make_messages
from tests.alerts.things import (
    NOON,
    bodies_of,
    make_alert,
    make_channel,
    make_rule,
    make_workspace,
    minutes,
    open_alert,
    recover_alert,
    tell,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def deliver_all(at: datetime) -> None:
    """As if each message had arrived."""
    AlertMessage.objects.filter(ended_at=None).update(ended_at=at, delivered_at=at, next_at=None)


def test_a_group_is_sent_when_it_is_whole_and_a_critical_alert_at_once() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace)
    tell(open_alert(make_alert(make_rule(workspace)), NOON), NOON)
    assert make_messages(NOON + seconds(29)).count == 0
    critical = make_alert(make_rule(workspace, Severity.CRITICAL), "payroll")
    tell(open_alert(critical, NOON + seconds(29)), NOON + seconds(29))
    assert make_messages(NOON + seconds(29)).count == 1
    [body] = bodies_of(channel)  # which takes the other along
    assert body["title"] == "[critical] 2 alerts: payroll, nightly-reports"
    assert body["type"] == "failure"


def test_a_message_is_as_the_shapes_say(settings: Any) -> None:
    settings.PUBLIC_URL = "https://sync.example.com"
    workspace = make_workspace()
    rule = make_rule(workspace, Severity.CRITICAL, name="nightly")
    channel = make_channel(workspace)
    alert = make_alert(rule, detail="the folder is gone", error_code="root_missing")
    tell(open_alert(alert, NOON), NOON)
    make_messages(NOON)
    row = AlertMessage.objects.get(channel=channel)
    body = json.loads(bytes(row.body))
    page = f"https://sync.example.com/admin/syncjobs/syncjob/{alert.subject_id}/"
    assert body == {
        "version": "1.0",
        "title": "[critical] nightly-reports failed",
        "message": "Rule: nightly\nthe folder is gone\nError: root_missing\n"
        f"{page}\nDelivery {row.pk}",
        "type": "failure",
        "syncproject": {
            "delivery": str(row.pk),
            "channel": "ops",
            "workspace": workspace.name,
            "reason": "alerts",
            "sent_at": "2026-11-02T12:00:00Z",
            "alerts": [
                {
                    "id": str(alert.pk),
                    "rule": "nightly",
                    "kind": "failure",
                    "severity": "critical",
                    "tell": "opened",
                    "state": "firing",
                    "subject": {
                        "kind": "job",
                        "id": str(alert.subject_id),
                        "name": "nightly-reports",
                    },
                    "record_id": None,
                    "error_code": "root_missing",
                    "detail": "the folder is gone",
                    "opened_at": "2026-11-02T12:00:00Z",
                    "resolved_at": None,
                    "occurrences": 1,
                    "url": page,
                }
            ],
            "more": 0,
        },
    }


def test_a_rule_goes_to_its_channels_and_else_to_all_whose_severity_admits_it() -> None:
    workspace = make_workspace()
    everything = make_channel(workspace, "everything")
    pager = make_channel(workspace, "pager", min_severity=Severity.CRITICAL)
    make_channel(workspace, "off", enabled=False)
    make_channel(make_workspace(), "elsewhere")
    named = make_rule(workspace)
    named.channels.set([pager])
    tell(open_alert(make_alert(make_rule(workspace)), NOON), NOON)
    assert [note.channel for note in Notification.objects.all()] == [everything]
    tell(open_alert(make_alert(named), NOON), NOON)
    assert {note.channel for note in Notification.objects.all()} == {everything, pager}


def test_a_recovery_goes_to_who_heard_of_the_opening_whatever_the_routes_say_now() -> None:
    workspace = make_workspace()
    rule = make_rule(workspace)
    alert = make_alert(rule)
    heard = make_channel(workspace, "heard")
    tell(open_alert(alert, NOON), NOON)
    make_messages(NOON + minutes(1))
    deliver_all(NOON + minutes(1))
    make_channel(workspace, "late")
    AlertChannel.objects.filter(pk=heard.pk).update(min_severity=Severity.CRITICAL)
    tell(recover_alert(alert, NOON + minutes(2)), NOON + minutes(2))
    [recovery] = Notification.objects.filter(tell=Tell.RECOVERED)
    assert recovery.channel == heard
    tell(recover_alert(alert, NOON + minutes(3)), NOON + minutes(3))
    assert Notification.objects.filter(tell=Tell.RECOVERED).count() == 1  # nobody hears it twice


def test_what_opens_and_recovers_within_a_group_is_one_line() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace)
    alert = make_alert(make_rule(workspace))
    tell([open_alert(alert, NOON), recover_alert(alert, NOON + seconds(10))], NOON + seconds(10))
    make_messages(NOON + seconds(40))
    [body] = bodies_of(channel)
    [item] = body["syncproject"]["alerts"]
    assert (item["tell"], item["state"], body["type"]) == (
        "opened_and_recovered",
        "resolved",
        "success",
    )


def test_while_a_message_is_under_way_what_follows_waits_for_the_next() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace, group_s=0)
    alert = make_alert(make_rule(workspace))
    tell(open_alert(alert, NOON), NOON)
    assert make_messages(NOON).count == 1
    tell(recover_alert(alert, NOON + seconds(5)), NOON + seconds(5))
    assert make_messages(NOON + minutes(5)).count == 0
    deliver_all(NOON + minutes(6))
    assert make_messages(NOON + minutes(6)).count == 1
    told = [body["syncproject"]["alerts"][0]["tell"] for body in bodies_of(channel)]
    assert told == ["opened", "recovered"]


def test_c06_quiet_hours_hold_a_warning_with_its_recovery_and_let_what_is_critical_pass() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace, quiet_hours="22:00-07:00", timezone="Europe/Berlin")
    warning = make_alert(make_rule(workspace), "slow")
    critical = make_alert(make_rule(workspace, Severity.CRITICAL), "payroll")
    night = datetime(2026, 11, 2, 22, 0, tzinfo=UTC)  # 23:00 in Berlin
    morning = datetime(2026, 11, 3, 6, 0, tzinfo=UTC)  # 07:00
    tell(open_alert(warning, night), night)
    tell(open_alert(critical, night + minutes(10)), night + minutes(10))
    assert make_messages(night + minutes(10)).count == 1
    deliver_all(night + minutes(10))
    tell(recover_alert(warning, night + minutes(180)), night + minutes(180))
    assert make_messages(morning - seconds(1)).count == 0
    assert make_messages(morning).count == 1
    first, second = bodies_of(channel)
    assert [one["subject"]["name"] for one in first["syncproject"]["alerts"]] == ["payroll"]
    [held] = second["syncproject"]["alerts"]
    assert (held["subject"]["name"], held["tell"]) == ("slow", "opened_and_recovered")


def test_a_silenced_alert_tells_nothing() -> None:
    workspace = make_workspace()
    make_channel(workspace)
    alert = make_alert(make_rule(workspace), silenced_until=NOON + minutes(60))
    tell(open_alert(alert, NOON), NOON)
    tell(recover_alert(alert, NOON + minutes(1)), NOON + minutes(1))
    assert not Notification.objects.exists()
    tell(open_alert(alert, NOON + minutes(61)), NOON + minutes(61))
    assert Notification.objects.count() == 1


def test_a_full_hour_is_waited_for_and_the_rest_comes_as_counts() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace, group_s=0, most_per_hour=2)
    rule = make_rule(workspace, name="nightly")
    alerts = [make_alert(rule, f"job-{number}") for number in range(5)]
    for number, alert in enumerate(alerts):
        at = NOON + minutes(number)
        tell(open_alert(alert, at), at)
        make_messages(at)
        deliver_all(at)
    assert len(bodies_of(channel)) == 2
    assert make_messages(NOON + minutes(59)).count == 0
    assert make_messages(NOON + minutes(60)).count == 1
    digest = bodies_of(channel)[-1]
    assert digest["syncproject"]["reason"] == MessageReason.DIGEST
    assert (digest["title"], digest["type"]) == ("[digest] 3 further alerts", "warning")
    assert "3 of rule nightly [warning]: job-2, job-3, job-4" in digest["message"]
    assert (digest["syncproject"]["alerts"], digest["syncproject"]["more"]) == ([], 3)
    assert AlertDeliveryTotal.objects.get(outcome="suppressed").total == 3
    tell([recover_alert(alert, NOON + minutes(61)) for alert in alerts], NOON + minutes(61))
    recovered = Notification.objects.filter(tell=Tell.RECOVERED)
    assert {note.alert_id for note in recovered} == {alerts[0].pk, alerts[1].pk}


def test_c02_200_jobs_that_fail_in_a_minute_make_three_messages_with_counts_and_names() -> None:
    for severity in (Severity.WARNING, Severity.CRITICAL):
        workspace = make_workspace()
        channel = make_channel(workspace, severity.value)
        rule = make_rule(workspace, severity)
        alerts = [make_alert(rule, f"job-{number}") for number in range(200)]
        for number, alert in enumerate(alerts):
            at = NOON + seconds(number * 0.3)
            tell(open_alert(alert, at), at)
            make_messages(at)
            deliver_all(at)
        for second in range(60, 121):
            make_messages(NOON + seconds(second))
            deliver_all(NOON + seconds(second))
        bodies = bodies_of(channel)
        assert len(bodies) <= 3
        told = [len(body["syncproject"]["alerts"]) for body in bodies]
        assert sum(told) + sum(body["syncproject"]["more"] for body in bodies) == 200
        assert all("job-" in body["title"] for body in bodies)
        assert bodies[-1]["message"].count("job-") >= 20
        assert f"and {bodies[-1]['syncproject']['more']} more" in bodies[-1]["message"]


def test_10000_failures_in_a_minute_are_three_messages_by_some_statements_a_second() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace)
    rule = make_rule(workspace)
    alerts = [
        Alert(
            workspace=workspace, rule=rule, subject_kind="job", subject_id=rule.pk.__class__(int=number + 1),
            subject_name=f"job-{number}", severity=rule.severity, firing=True, opened_at=NOON, occurrences=1,
        )
        for number in range(10_000)
    ]  # fmt: skip
    Alert.objects.bulk_create(alerts, batch_size=1_000)
    statements: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        for second in range(60):
            at = NOON + seconds(second)
            part = alerts[second * 167 : (second + 1) * 167]
            tell([AlertMove(alert, Tell.OPENED) for alert in part], at)
            make_messages(at)
            deliver_all(at)
        for second in range(60, 100):
            make_messages(NOON + seconds(second))
            deliver_all(NOON + seconds(second))
    bodies = bodies_of(channel)
    assert len(statements) < 5 * 160  # however many alerts move: some for each second
    assert len(bodies) <= 3
    assert sum(len(b["syncproject"]["alerts"]) + b["syncproject"]["more"] for b in bodies) == 10_000
    assert all(len(body["message"]) <= 3_500 for body in bodies)


def test_what_others_wrote_is_harmless_in_a_message() -> None:
    workspace = make_workspace()
    channel = make_channel(workspace, group_s=0)
    name = "a\u202eb @everyone <!channel> <img onerror=x>\nDelivery 0"
    alert = make_alert(
        make_rule(workspace), name, detail="line\r\nDelivery 1\x1b[31m" + "x" * 9_000
    )
    tell(open_alert(alert, NOON), NOON)
    make_messages(NOON)
    [body] = bodies_of(channel)
    lines = body["message"].split("\n")
    assert len(body["title"]) <= 200
    assert "\n" not in body["title"]
    assert len(body["message"]) <= 3_500
    assert [line for line in lines if line.startswith("Delivery")] == [lines[-1]]
    for text in (body["title"], body["message"]):
        assert not set(text) & set("\u202e\x1b\0\r")
        assert "@everyone" not in text
        assert "<!channel" not in text
        assert "<img" not in text

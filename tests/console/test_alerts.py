"""Alerts in the console: what fires and whom it was told, silence, rules as sentences, channels with a test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from alerts.channel_secrets import unseal_channel_url
from alerts.core.words import ChannelState
from alerts.models import Alert, AlertChannel, AlertMessage, AlertRule, Notification
from console.alert_page import describe_rule, describe_scope
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.console.conftest import Tenant
from tests.console.urls import add_to, list_of, page_of, press
from tests.hosts.alert_receiver import Reply, receiving_alerts
from workspaces.models import AuditEntry, Role

pytestmark = pytest.mark.django_db(transaction=True)

Browser = Callable[[User], Client]


def text_of(client: Client, page: str, **query: str) -> str:
    answer = client.get(page, query)
    assert answer.status_code == 200, page
    return answer.content.decode()


def silence_of(alert: Alert) -> str:
    return reverse("admin:alerts_alert_silence", args=[alert.pk])


def test_what_fires_is_shown_with_why_and_whom_it_was_told(acme: Tenant, root: Client) -> None:
    alert = acme.alert
    now = timezone.now()
    told = {"alert": alert, "tell": "opened", "severity": "warning", "told": {}, "due_at": now}
    sent = AlertMessage.objects.create(
        channel=acme.channel, reason="alerts", body=b"{}", delivered_at=now, ended_at=now
    )
    Notification.objects.create(**told, channel=acme.channel, message=sent)
    night = make_channel("night", workspace=acme.workspace)
    Notification.objects.create(**told, channel=night, held=True)
    broken = make_channel("pager", workspace=acme.workspace, state=ChannelState.BROKEN)
    Notification.objects.create(**told, channel=broken)
    resolved = make_alert(acme.rule, firing=False, subject_name="calm-job")
    page = text_of(root, list_of(Alert))
    for words in (
        "acme-job", "told: acme-channel", "night waits until its quiet hours end", "not told: pager is broken",
        "a record fails for good", "Firing 1", "Resolved 1", silence_of(alert).removesuffix("silence/"),
    ):  # fmt: skip
        assert words in page, words
    assert "calm-job" not in page
    assert "calm-job" in text_of(root, list_of(Alert), state="resolved")
    assert "calm-job" in text_of(root, page_of(resolved))
    live = reverse("admin:alerts_alert_live", args=["firing"])
    assert live in page
    assert "acme-job" in text_of(root, live)


def test_an_operator_silences_an_alert_and_a_viewer_cannot(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    operator, viewer = (browser_of(acme.people[role]) for role in (Role.OPERATOR, Role.VIEWER))
    given = {"until": "4h", "reason": "Password change is ordered"}
    assert silence_of(acme.alert) in text_of(operator, page_of(acme.alert))
    assert silence_of(acme.alert) not in text_of(viewer, page_of(acme.alert))
    assert viewer.post(silence_of(acme.alert), given).status_code == 403
    assert operator.post(silence_of(lab.alert), given).status_code == 404
    assert operator.get(silence_of(acme.alert)).status_code == 405
    done = operator.post(silence_of(acme.alert), given, follow=True).content.decode()
    assert "Password change is ordered" in done
    acme.alert.refresh_from_db()
    assert acme.alert.silenced_until is not None
    assert timedelta(hours=3) < acme.alert.silenced_until - timezone.now() < timedelta(hours=5)
    assert "Silenced 1" in text_of(operator, list_of(Alert))
    assert "acme-job" in text_of(operator, list_of(Alert), state="silenced")
    assert viewer.post(press(acme.alert, "unsilence")).status_code == 403
    operator.post(press(acme.alert, "unsilence"))
    assert "Firing 1" in text_of(operator, list_of(Alert))
    refused = operator.post(silence_of(acme.alert), {"until": "for ever"}, follow=True)
    assert "Choose for how long" in refused.content.decode()
    entries = AuditEntry.objects.filter(kind="alert", door="console").order_by("pk")
    assert [one.action for one in entries] == ["silenced", "unsilenced"]


def test_older_alerts_stand_on_the_next_page(acme: Tenant, root: Client) -> None:
    for number in range(60):
        make_alert(
            acme.rule, opened_ago=timedelta(hours=number + 1), subject_name=f"job-{number}-x"
        )
    page = text_of(root, list_of(Alert))
    assert "job-48-x" in page
    assert "job-55-x" not in page
    address = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
    older = root.get(address.replace("&amp;", "&")).content.decode()
    assert "job-55-x" in older
    assert "job-48-x" not in older
    assert "alert/live/" not in older  # the newest are not put in its place
    assert root.get(list_of(Alert), {"before": "x", "state": "y"}).status_code == 200


def test_an_admin_makes_and_changes_a_rule_and_is_told_what_does_not_fit(
    acme: Tenant, browser_of: Browser
) -> None:
    admin = browser_of(acme.people[Role.ADMIN])
    given = {
        "workspace": str(acme.workspace.pk), "name": "nightly", "kind": "failures_in_a_row", "severity": "critical",
        "enabled": "on", "job": str(acme.job.pk), "count": "3", "channels": [str(acme.channel.pk)], "tag": "",
    }  # fmt: skip
    for wrong, words in (
        ({"count": ""}, "needs it"),
        ({"factor": "2"}, "does not have this parameter"),
        ({"tag": "night"}, "one scope at most"),
        ({"kind": "disk", "count": "", "job": str(acme.job.pk)}, "limited by nothing"),
        ({"name": "acme-rule"}, "already"),
    ):
        answer = admin.post(add_to(AlertRule), given | wrong)
        assert (answer.status_code, words in answer.content.decode()) == (200, True), words
    assert not AlertRule.objects.filter(name="nightly").exists()
    assert admin.post(add_to(AlertRule), given).status_code == 302
    rule = AlertRule.objects.get(name="nightly")
    assert (rule.params, rule.job, rule.severity) == ({"count": 3}, acme.job, "critical")
    assert [one.name for one in rule.channels.all()] == ["acme-channel"]
    changed = {**given, "kind": "overdue", "factor": "2.5", "job": "", "channels": []}
    assert admin.post(page_of(rule), changed).status_code == 302
    rule.refresh_from_db()
    assert (rule.kind, rule.params, rule.job, rule.channels.count()) == (
        "overdue",
        {"factor": 2.5},
        None,
        0,
    )
    actions = AuditEntry.objects.filter(object_id=str(rule.pk)).order_by("pk")
    assert [one.action for one in actions] == ["created", "changed"]
    listed = text_of(admin, list_of(AlertRule))
    assert "a record takes 2.5 times as long as expected" in listed
    assert (
        admin.post(f"{page_of(rule).removesuffix('change/')}delete/", {"post": "yes"}).status_code
        == 302
    )
    assert not AlertRule.objects.filter(pk=rule.pk).exists()


def test_a_channels_url_is_written_and_never_shown(acme: Tenant, browser_of: Browser) -> None:
    admin = browser_of(acme.people[Role.ADMIN])
    given = {
        "workspace": str(acme.workspace.pk), "name": "ops", "url": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXr",
        "min_severity": "warning", "quiet_hours": "22:00-07:00", "timezone": "Europe/Berlin",
        "breaks_quiet": "critical", "group_s": "30", "most_per_hour": "20", "enabled": "on",
    }  # fmt: skip
    for wrong, words in (
        ({"url": ""}, "give the URL"),
        ({"url": "syslog://x"}, "pagerduty"),
        ({"quiet_hours": "22-7"}, "22:00-07:00"),
        ({"timezone": "Mars"}, "no time zone"),
    ):
        answer = admin.post(add_to(AlertChannel), given | wrong)
        assert (answer.status_code, words in answer.content.decode()) == (200, True), words
    assert admin.post(add_to(AlertChannel), given).status_code == 302
    channel = AlertChannel.objects.get(name="ops")
    assert unseal_channel_url(channel) == given["url"]
    page = text_of(admin, page_of(channel))
    assert "TIiajkdnlazkcOXr" not in page
    assert admin.post(page_of(channel), given | {"url": "", "group_s": "5"}).status_code == 302
    channel.refresh_from_db()
    assert (unseal_channel_url(channel), channel.group_s) == (given["url"], 5)
    told = text_of(admin, list_of(Alert))
    assert "quiet 22:00-07:00 (Europe/Berlin), critical breaks it" in told


def test_c09_a_channel_is_tested_by_a_button_and_the_reason_is_shown(
    acme: Tenant, browser_of: Browser, settings: Settings
) -> None:
    settings.ALLOWED_NETWORKS = ("127.0.0.0/8",)
    operator, viewer = (browser_of(acme.people[role]) for role in (Role.OPERATOR, Role.VIEWER))
    replies = [Reply(404), Reply(200)]
    with receiving_alerts(lambda _: replies.pop(0)) as receiver:
        channel = make_channel("ops", receiver.url(), workspace=acme.workspace)
        test = press(channel, "test")
        assert test in text_of(operator, list_of(Alert))
        assert test not in text_of(viewer, list_of(Alert))
        assert viewer.post(test).status_code == 403
        refused = operator.post(f"{test}?list=1", follow=True).content.decode()
        assert "not delivered" in refused
        assert "404" in refused
        AlertChannel.objects.filter(pk=channel.pk).update(
            state=ChannelState.BROKEN, broken_since=timezone.now()
        )
        assert "broken since" in text_of(viewer, list_of(Alert))
        assert "delivered in" in operator.post(test, follow=True).content.decode()
    assert "broken since" not in text_of(viewer, list_of(Alert))


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("nothing_ran", {"params": {"after_s": None}}, "nothing ran for twice its interval"),
        ("offline", {"params": {"after_s": 300}}, "a host is offline for 5 min"),
        ("error_rate", {"params": {"percent": 20, "window_s": 3600}}, "20 % of the records of 1 h"),
        ("disk", {"params": {"free_percent": 10}}, "less than 10 % of the disk is free"),
    ],
)
def test_a_rule_is_told_as_a_sentence(kind: str, fields: dict[str, Any], words: str) -> None:
    rule = make_rule("r", kind, **fields)
    assert describe_rule(rule).startswith(words)
    assert describe_scope(make_rule("t", "held", tag="night")) == "tag night"


def test_the_first_page_shows_what_fires_and_a_channel_that_is_broken(
    acme: Tenant, root: Client
) -> None:
    make_channel("pager", workspace=acme.workspace, state=ChannelState.BROKEN, last_result="401")
    make_channel("slow", workspace=acme.workspace, state=ChannelState.RETRYING)
    silenced_until = timezone.now() + timedelta(hours=1)
    make_alert(acme.rule, subject_name="quiet-job", silenced_until=silenced_until)
    page = text_of(root, "/admin/")
    assert "Channel pager" in page
    assert "Channel slow" not in page
    assert "Alerts firing" in page
    assert "quiet-job" not in page

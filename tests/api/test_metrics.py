"""`GET /metrics`: who sees it, what it shows, and that it reads nothing large."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.core import checks
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.samples import Sample
from pytest_django import Settings

from alerts.core.words import DeliveryOutcome, Severity
from alerts.models import Alert, AlertChannel, AlertMessage, Notification
from alerts.sending.making import add_to_totals
from datasets.store import find_known_store
from embedded import ports
from embedded.child import PROJECT
from events.models import SyncEvent
from search.embedding.breaker import count_requests
from search.querying.durations import search_durations
from search.querying.question import SearchMode
from syncjobs.claims import pulsing
from syncjobs.core.states import Event, State
from syncjobs.models import ProcessSign, SyncJob, SyncRecord
from syncjobs.upkeep.counting import count_events
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.console.conftest import CANARY, Tenant, make_record, make_tenant
from workspaces.models import Role
from workspaces.tokens import create_token, revoke_tokens

pytestmark = pytest.mark.django_db(transaction=True)  # its readings have sessions of their own

SERIES = r"\b(?:sync|connector|outbox|embedding|index|search_duration|alerts?)_[a-z_]+"
Scrape = Callable[..., dict[str, float]]


def read(text: str) -> dict[str, float]:
    """By name and labels, as in `sync_files_total{action="added"}`."""
    return {_name(sample): sample.value for family in parse(text) for sample in family.samples}


def _name(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}" if labels else sample.name


@pytest.fixture(autouse=True)
def _nobody_has_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun, whatever searches of earlier tests it has counted."""
    monkeypatch.setattr(search_durations, "_sums", {})
    monkeypatch.setattr(search_durations, "_names", {})


@pytest.fixture
def scrape(client: Client) -> Scrape:
    def get(token: str | None = None) -> dict[str, float]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 200, answer.content
        return read(answer.content.decode())

    return get


def of_acme(name: str) -> str:
    return f'{name}{{workspace="acme"}}'


def end(
    tenant: Tenant, state: State = State.SUCCEEDED, event: Event = Event.SUCCEEDED, **fields: Any
) -> SyncRecord:
    now = timezone.now()
    times = {"started_at": now - timedelta(seconds=7), "finished_at": now, "worked_s": 7.0}
    record = make_record(tenant.job, state, **times | fields)
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event=event,
        from_state="running",
        to_state=state,
    )
    return record


def test_what_ended_is_counted(acme: Tenant, scrape: Scrape) -> None:
    assert scrape()['sync_records_total{kind="sftp",state="failed",workspace="acme"}'] == 0
    for _ in range(3):
        end(acme, files_added=5, files_unchanged=2, bytes_transferred=1000)
    end(acme, rows_read=100, rows_added=97, rows_failed=3)
    end(acme, State.FAILED, Event.FAILED, files_failed=1)
    end(acme, State.FAILED, Event.QUARANTINED)
    end(acme, State.PARTIAL, Event.PARTLY_SUCCEEDED, dry_run=True, files_added=99)
    count_events()
    told = scrape()
    assert told['sync_records_total{kind="sftp",state="succeeded",workspace="acme"}'] == 4
    assert told['sync_records_total{kind="sftp",state="failed",workspace="acme"}'] == 2
    assert (
        told['sync_records_total{kind="sftp",state="partial",workspace="acme"}'] == 0
    )  # a dry run
    assert told['sync_files_total{action="added",workspace="acme"}'] == 15
    assert told['sync_files_total{action="unchanged",workspace="acme"}'] == 6
    assert told['sync_files_total{action="failed",workspace="acme"}'] == 1
    rows = {
        name: told[f'sync_rows_total{{action="{name}",workspace="acme"}}']
        for name in ("read", "added", "failed")
    }
    assert rows == {"read": 100, "added": 97, "failed": 3}
    assert told['sync_bytes_total{workspace="acme"}'] == 3000
    assert told['sync_leases_expired_total{workspace="acme"}'] == 1
    assert told['sync_events_total{event="succeeded",workspace="acme"}'] == 4
    assert told['sync_record_duration_seconds_bucket{kind="sftp",le="5.0",workspace="acme"}'] == 0
    assert told['sync_record_duration_seconds_bucket{kind="sftp",le="15.0",workspace="acme"}'] == 6
    assert told['sync_record_duration_seconds_bucket{kind="sftp",le="+Inf",workspace="acme"}'] == 6
    assert told['sync_record_duration_seconds_count{kind="sftp",workspace="acme"}'] == 6
    assert told['sync_record_duration_seconds_sum{kind="sftp",workspace="acme"}'] == pytest.approx(
        42
    )


def test_counters_never_fall(acme: Tenant, scrape: Scrape) -> None:
    end(acme, bytes_transferred=1000)
    count_events()
    before = {name: value for name, value in scrape().items() if "_total" in name}
    SyncRecord.objects.all().delete()
    end(acme)
    count_events()
    after = scrape()
    assert all(after[name] >= value for name, value in before.items())


def test_what_runs_waits_and_is_held(acme: Tenant, scrape: Scrape) -> None:
    SyncJob.objects.update(next_run_at=Now() + timedelta(hours=1))
    told = scrape()
    assert (
        told['sync_oldest_queued_seconds{workspace="acme"}'],
        told['sync_dispatch_lag_seconds{workspace="acme"}'],
    ) == (0, 0)
    make_record(acme.job, State.RUNNING)
    make_record(acme.job, State.HELD)
    waiting = make_record(acme.job, State.QUEUED)
    SyncRecord.objects.filter(pk=waiting.pk).update(queued_at=Now() - timedelta(seconds=50))
    SyncJob.objects.update(next_run_at=Now() - timedelta(seconds=20))
    told = scrape()
    assert [told[of_acme(f"sync_records_{state}")] for state in ("running", "queued", "held")] == [
        1,
        1,
        1,
    ]
    assert 50 <= told['sync_oldest_queued_seconds{workspace="acme"}'] < 80
    assert 20 <= told['sync_dispatch_lag_seconds{workspace="acme"}'] < 50
    SyncJob.objects.update(enabled=False)
    assert scrape()['sync_dispatch_lag_seconds{workspace="acme"}'] == 0


def test_how_connectors_are(acme: Tenant, scrape: Scrape) -> None:
    name = '{connector="acme-host",workspace="acme"}'
    assert f"connector_up{name}" not in scrape()  # nothing is known of it
    connector = acme.connector
    connector.last_sync_at, connector.last_sync_status = timezone.now(), "succeeded"
    connector.save()
    told = scrape()
    assert told[f"connector_up{name}"] == 1
    assert told[f"sync_last_success_timestamp_seconds{name}"] == pytest.approx(
        connector.last_sync_at.timestamp()
    )
    connector.last_sync_status = "failed"
    connector.save()
    assert scrape()[f"connector_up{name}"] == 0
    connector.status = "paused"
    connector.save()
    assert f"connector_up{name}" not in scrape()


def test_how_the_installations_parts_are(acme: Tenant, scrape: Scrape) -> None:
    now = timezone.now()
    for name, draining in (("one", False), ("two", True)):
        ProcessSign.objects.create(
            name=name,
            slots=8,
            running=3,
            draining=draining,
            store_id=find_known_store(),
            started_at=now,
            seen_at=Now(),
        )
    ProcessSign.objects.create(name="blind", slots=8, started_at=now, seen_at=Now())
    pulsing.note_pulse(pulsing.BEAT, holder="")
    pulsing.note_canary_rung("sync", holder="")
    told = scrape()
    assert 0 <= told["sync_beat_tick_age_seconds"] < 30
    assert (told["sync_workers_alive"], told["sync_workers_draining"]) == (3, 1)
    assert told["sync_workers_without_store"] == 1
    assert (told["sync_worker_slots"], told["sync_worker_slots_busy"]) == (8, 3)
    assert told['sync_queue_canary_age_seconds{queue="sync"}'] < 30
    assert told["sync_store_mounted"] == 1
    assert 0 < told["sync_store_free_bytes"] < told["sync_store_size_bytes"]


def test_d04_a_store_that_is_not_mounted_is_told(
    acme: Tenant, scrape: Scrape, settings: Settings, tmp_path: Path
) -> None:
    settings.STORE_ROOT = tmp_path / "unmounted"
    told = scrape()
    assert told["sync_store_mounted"] == 0
    assert "sync_store_free_bytes" not in told


def test_p12_a_token_sees_its_workspace_alone(lab: Tenant, acme: Tenant, scrape: Scrape) -> None:
    for tenant in (acme, lab):
        tenant.connector.last_sync_at = timezone.now()
        tenant.connector.last_sync_status = "succeeded"
        tenant.connector.save()
        for _ in range(2):
            end(tenant, bytes_transferred=10)
        make_record(tenant.job, State.QUEUED)
    SyncJob.objects.filter(pk=lab.job.pk).update(next_run_at=Now() - timedelta(seconds=500))
    SyncJob.objects.filter(pk=acme.job.pk).update(next_run_at=Now() + timedelta(hours=1))
    SyncRecord.objects.filter(workspace=lab.workspace).update(
        queued_at=Now() - timedelta(seconds=500)
    )
    count_events()
    mine, whole = scrape(acme.raw_token), scrape()
    succeeded = 'sync_records_total{kind="sftp",state="succeeded",workspace="acme"}'
    for name, of_mine in ((succeeded, 2), (of_acme("sync_bytes_total"), 20)):
        theirs = name.replace("acme", "lab")
        assert (mine[name], whole[name], whole[theirs], theirs in mine) == (
            of_mine, of_mine, of_mine, False,
        )  # fmt: skip
    for name in ("sync_oldest_queued_seconds", "sync_dispatch_lag_seconds"):
        assert mine[of_acme(name)] < 500 <= whole[f'{name}{{workspace="lab"}}']
    assert mine[of_acme("sync_records_queued")] == 1
    assert not any("lab" in series for series in mine)
    assert "sync_workers_alive" in whole
    of_the_installation = ("sync_worker", "sync_beat", "sync_reaper", "sync_queue", "sync_store")
    assert not any(series.startswith(of_the_installation) for series in mine)


def test_who_may_not_look_is_told_so(acme: Tenant, client: Client, settings: Settings) -> None:
    def ask(**how: Any) -> int:
        answer = client.get("/metrics", **how)
        if answer.status_code == 401:
            assert answer["Content-Type"] == "application/problem+json"
            assert answer["WWW-Authenticate"] == "Bearer"
            assert json.loads(answer.content)["status"] == 401
            assert b"sync_" not in answer.content
        return answer.status_code

    assert ask(REMOTE_ADDR="127.0.0.1") == 200
    assert ask(REMOTE_ADDR="::ffff:127.0.0.1") == 200
    assert ask(REMOTE_ADDR="203.0.113.9") == 401
    assert ask(REMOTE_ADDR="") == 401
    # A proxy is a neighbour, and who stands behind it is not.
    for header in ("X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP"):
        assert ask(headers={header: "127.0.0.1"}) == 401
    # A wrong token is not made up for by an address.
    for words in ("Bearer wrong", f"Bearer {acme.raw_token}x", f"Basic {acme.raw_token}", "Bearer"):
        assert ask(headers={"Authorization": words}) == 401
    good = {"Authorization": f"Bearer {acme.raw_token}", "X-Forwarded-For": "203.0.113.9"}
    assert ask(REMOTE_ADDR="203.0.113.9", headers=good) == 200
    _, viewer = create_token(acme.workspace, name="prometheus", role=Role.VIEWER)
    assert ask(headers={"Authorization": f"Bearer {viewer}"}) == 200
    revoke_tokens(acme.workspace, name="prometheus")
    assert ask(headers={"Authorization": f"Bearer {viewer}"}) == 401
    settings.METRICS_NETWORKS = ("203.0.113.0/24",)
    assert ask(REMOTE_ADDR="203.0.113.9") == 200
    assert ask(REMOTE_ADDR="127.0.0.1") == 401


def test_a_network_that_is_none_is_said_at_the_start(settings: Settings) -> None:
    settings.METRICS_NETWORKS = ("10.0.0.0/8", "loopback")
    assert [error.id for error in checks.run_checks() if error.id == "console.E001"]


def test_p11_no_secret_and_no_file_is_in_it(acme: Tenant, client: Client) -> None:
    end(acme, files_added=1)
    count_events()
    text = client.get("/metrics").content.decode()
    for word in (CANARY, acme.raw_token, acme.connector.host, "/exports", ".csv", "<img"):
        assert word not in text


def test_it_speaks_both_of_prometheus_languages(acme: Tenant, client: Client) -> None:
    end(acme)
    count_events()
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get("/metrics", headers=asked)
    assert answer["Content-Type"].startswith("application/openmetrics-text")
    opened = {family.name for family in parse_open_metrics(answer.content.decode())}  # type: ignore[no-untyped-call]
    plain = client.get("/metrics")
    assert plain["Content-Type"].startswith("text/plain")
    families = list(parse(plain.content.decode()))
    assert {family.name for family in families} == opened
    assert all(family.documentation.endswith(".") for family in families)


def test_a_database_that_is_away_is_a_503(
    client: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", ports.find_free())
    answer = client.get("/metrics")
    monkeypatch.undo()
    connection.close()
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert django_settings.DATABASES["default"]["HOST"] not in answer.content.decode()


def test_the_series_do_not_grow_with_records(acme: Tenant, scrape: Scrape) -> None:
    end(acme)
    count_events()
    before = set(scrape())
    for _ in range(20):
        end(acme, error="another text", bytes_transferred=5)
    count_events()
    assert set(scrape()) == before
    another = make_tenant("lab")
    its_own = {name.replace("acme", "lab") for name in before if "acme" in name}
    assert len(its_own) == len([name for name in before if "acme" in name]) > 90
    assert set(scrape()) == before | its_own
    end(another)
    count_events()
    assert set(scrape()) == before | its_own


OF_THE_INSTALLATION = {
    *("sync_beat_tick_age_seconds", "sync_reaper_age_seconds", "sync_workers_alive", "sync_workers_draining"),
    *("sync_workers_without_store", "sync_worker_slots", "sync_worker_slots_busy", "sync_queue_canary_age_seconds"),
    *("sync_store_mounted", "sync_store_free_bytes", "sync_store_size_bytes", "sync_store_needed_bytes"),
}  # fmt: skip


def test_every_series_of_a_workspace_names_it(acme: Tenant, lab: Tenant, scrape: Scrape) -> None:
    for tenant in (acme, lab):
        end(tenant, files_added=1)
        search_durations.add(tenant.workspace, SearchMode.BOTH, 0.1)
    count_events()
    every_series(scrape, acme)
    told = scrape()
    unnamed = {name.partition("{")[0] for name in told if 'workspace="' not in name}
    assert unnamed == OF_THE_INSTALLATION
    for tenant in (acme, lab):
        shown = f'workspace="{tenant.workspace.name}"'
        assert all(shown in name for name in scrape(tenant.raw_token))


def every_series(scrape: Scrape, tenant: Tenant) -> set[str]:
    """Names of all there can be, with every part of the installation seen."""
    tenant.connector.last_sync_at = timezone.now()
    tenant.connector.last_sync_status = "succeeded"
    tenant.connector.save()
    for part in (pulsing.BEAT, pulsing.REAPER):
        pulsing.note_pulse(part, holder="")
    pulsing.note_canary_rung("sync", holder="")
    return {series.partition("{")[0] for series in scrape()}


def test_the_alert_rules_ask_for_series_that_there_are(acme: Tenant, scrape: Scrape) -> None:
    groups = yaml.safe_load((PROJECT / "deploy" / "prometheus-rules.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    series = every_series(scrape, acme)
    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        asked = set(re.findall(SERIES, rule["expr"]))
        assert asked, rule
        assert asked <= series, rule
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "0m"))
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert any(f"{label}=" in name and name.startswith(tuple(asked)) for name in scrape())


def test_every_series_is_described_and_no_other(acme: Tenant, scrape: Scrape) -> None:
    page = (PROJECT / "docs" / "watching.md").read_text()
    told = set(re.findall(SERIES, page)) - {"sync_token"}
    series = {
        re.sub("_(bucket|count|sum|created)$", "", name) for name in every_series(scrape, acme)
    } | {"search_duration_seconds"}  # which begins with the first search
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in told} == series


def test_the_dashboard_asks_for_series_and_labels_that_there_are(
    acme: Tenant, scrape: Scrape
) -> None:
    board = json.loads((PROJECT / "deploy" / "grafana-dashboard.json").read_text())
    search_durations.add(acme.workspace, SearchMode.BOTH, 0.1)
    every_series(scrape, acme)
    labels: dict[str, set[str]] = {}
    for name in scrape():
        series, _, told = name.partition("{")
        labels.setdefault(series, set()).update(re.findall(r'(\w+)="', told))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]]
    seen: set[str] = set()
    for expression in asked:
        for series, matchers in re.findall(rf"({SERIES})(?:\{{(.*?)\}})?", expression):
            assert set(re.findall(r'(\w+)=[~"]', matchers)) <= labels[series], expression
            is_everybodys = series in OF_THE_INSTALLATION
            assert is_everybodys or 'workspace=~"$workspace"' in matchers, expression
            seen.add(series)
    assert {"alerts_firing", "sync_records_total", "outbox_readings_queued"} < seen
    variables = {one["name"]: one for one in board["templating"]["list"]}
    assert set(variables) == {"source", "workspace"}
    assert re.findall(SERIES, variables["workspace"]["query"])[0] in labels
    assert {panel["datasource"]["uid"] for panel in panels} == {"${source}"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_alerts_that_fire_and_their_messages_are_counted(acme: Tenant, scrape: Scrape) -> None:
    def name(series: str, **labels: str) -> str:
        told = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return f'{series}{{{told}{"," if told else ""}workspace="acme"}}'

    oldest = name("alert_oldest_undelivered_seconds")
    Alert.objects.all().delete()  # the one that each tenant has
    told = scrape()
    for severity in Severity:
        assert told[name("alerts_firing", severity=severity)] == 0
    for outcome in ("delivered", "retried", "broken", "suppressed"):
        assert told[name("alert_deliveries_total", outcome=outcome)] == 0
    assert told[oldest] == 0

    rule = make_rule(severity="critical", workspace=acme.workspace)
    alert = make_alert(rule)
    make_alert(rule, firing=False)
    make_alert(rule, silenced_until=timezone.now() + timedelta(hours=1))
    channel = make_channel(workspace=acme.workspace)
    add_to_totals(acme.workspace.pk, DeliveryOutcome.DELIVERED, 3)
    told = scrape()
    assert told[name("alerts_firing", severity="critical")] == 1
    assert told[name("alert_deliveries_total", outcome="delivered")] == 3

    now = timezone.now()
    later = {
        "alert": alert,
        "channel": channel,
        "tell": "opened",
        "severity": "critical",
        "told": {},
    }
    Notification.objects.create(**later, due_at=now + timedelta(hours=1))
    assert scrape()[oldest] == 0
    Notification.objects.create(**later, due_at=now - timedelta(seconds=100))
    assert 100 <= scrape()[oldest] < 160
    AlertMessage.objects.create(
        channel=channel, reason="alerts", body=b"{}", made_at=now - timedelta(seconds=500)
    )
    assert 500 <= scrape()[oldest] < 560
    AlertChannel.objects.update(enabled=False)
    assert scrape()[oldest] == 0


def test_requests_to_embedding_services_are_counted_by_workspace_and_what_came_of_them(
    acme: Tenant, scrape: Scrape
) -> None:
    def name(outcome: str, workspace: str = "acme") -> str:
        return f'embedding_requests_total{{outcome="{outcome}",workspace="{workspace}"}}'

    lab = make_tenant("lab")
    assert scrape()[name("ok")] == 0
    count_requests(acme.workspace.pk, {"ok": 3, "embed_limited": 1})
    count_requests(acme.workspace.pk, {"ok": 2})
    told = scrape()
    assert [told[name(one)] for one in ("ok", "embed_limited", "embed_timeout")] == [5, 1, 0]
    assert told[name("ok", "lab")] == 0
    count_requests(lab.workspace.pk, {"ok": 7})
    assert scrape()[name("ok", "lab")] == 7
    _, token = create_token(lab.workspace, name="reader", role=Role.VIEWER)
    assert name("ok") not in scrape(token)

"""A held record's page is the decision: the sentence, what goes, what each way does; and what ended badly says what to do."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from syncjobs.core.states import State
from syncjobs.models import PlannedFile, SyncItem, SyncRecord
from tests.console.conftest import NASTY, Tenant, make_record
from tests.console.urls import page_of, press
from workspaces.models import AuditEntry, Role

QUERIES_MAX = 15


def make_hold(acme: Tenant, go: int, *, folder: str = "contracts/2019") -> SyncRecord:
    held = go * 5
    plan = {
        "listed": held - go + 2,
        "held": held,
        "added": 2,
        "changed": 1,
        "removed": go,
        "unchanged": held - go - 1,
        "wanted": 3,
        "wanted_bytes": 5,
        "digest": "digest-of-the-plan",
        "version": 1,
    }
    reason = f"{go} of {held} files would be removed, more than 10%"
    record = make_record(
        acme.job,
        State.HELD,
        error=reason,
        error_code="mass_removal",
        verdict="guard.mass_removal",
        hold={"rule": "mass_removal", "files": go, "plan": plan},
    )
    gone = [f"{folder}/{n % 3}/file-{n:04}.pdf" for n in range(go - 1)]
    gone.append(f"{folder}/=1+{NASTY}\u202e.pdf")
    rows = [PlannedFile(record=record, action="removed", path=path, size_bytes=10) for path in gone]
    rows += [PlannedFile(record=record, action="added", path=f"new-{n}.txt") for n in range(2)]
    rows += [PlannedFile(record=record, action="changed", path="changed.txt", size_bytes=1)]
    PlannedFile.objects.bulk_create(rows)
    return record


def _text(browser: Client, url: str, **given: Any) -> str:
    answer = browser.get(url, given)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def test_the_decision_is_one_sentence_with_its_shares(acme: Tenant, root: Client) -> None:
    record = make_hold(acme, 120)
    text = _text(root, page_of(record))
    assert "120 of 600 files would be removed: 20.0 %, and the guard stops at 10 %" in text
    assert "All of them lie in contracts/2019/." in text
    assert "479 stay" in text
    assert "<b>120 go</b>" in text
    assert "Version 2 is published without the 120 files" in text
    assert "Version 1 keeps what it holds" in text
    assert "the guard stops above 60" in text  # the line of the chart
    assert NASTY not in text
    assert "\u202e" not in text


def test_the_plan_is_searched_by_part_by_pattern_and_by_folder(acme: Tenant, root: Client) -> None:
    record = make_hold(acme, 120)
    url = reverse("admin:syncjobs_syncrecord_planned", args=[record.pk])
    assert "1 of 120 match" in _text(root, url, q="FILE-0007")
    assert "119 of 120 match" in _text(root, url, q="file-*.pdf")
    assert "0 of 120 match" in _text(root, url, q="%")
    assert "2 of 2 match" in _text(root, url, action="added", q="new")
    folder = _text(root, url, folder="contracts/2019/1")
    assert "contracts/2019/1/file-0001.pdf" in folder
    assert "contracts/2019/2/" not in folder
    first = root.get(url)
    assert len(first.context["planned"]) == 50
    second = root.get(url, {"after": first.context["following"]})
    assert {row.path for row in first.context["planned"]}.isdisjoint(
        row.path for row in second.context["planned"]
    )


def test_every_path_comes_as_csv(acme: Tenant, root: Client) -> None:
    record = make_hold(acme, 5, folder="=cmd")
    answer = root.get(reverse("admin:syncjobs_syncrecord_plan_csv", args=[record.pk]))
    assert "attachment" in answer["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert [row["what"] for row in rows] == ["go"] * 5 + ["change"] + ["join"] * 2
    assert rows[0]["path"].startswith("'=cmd/")
    assert rows[5] == {"what": "change", "path": "changed.txt", "size_bytes": "1", "modified": ""}


def test_above_100_removals_the_number_is_typed(acme: Tenant, root: Client) -> None:
    record = make_hold(acme, 120)
    seen = {"seen": "digest-of-the-plan"}
    text = _text(root, page_of(record))
    assert 'pattern="120"' in text
    assert 'value="digest-of-the-plan"' in text
    for typed in ({}, {"typed": "119"}):
        refused = root.post(press(record, "release"), seen | typed, follow=True)
        assert "type 120" in refused.content.decode()
    record.refresh_from_db()
    assert record.state == State.HELD
    root.post(press(record, "release"), seen | {"typed": "120"})
    record.refresh_from_db()
    assert (record.state, record.guards_waived) == (State.QUEUED, True)
    entry = AuditEntry.objects.get(action="released")
    assert (entry.actor, entry.door) == ("root", "console")
    assert entry.changes["plan"] == [None, "digest-of-the-plan"]


def test_a_plan_that_changed_meanwhile_is_shown_and_not_acted_on(
    acme: Tenant, root: Client
) -> None:
    record = make_hold(acme, 5)
    for name in ("release", "discard"):
        answer = root.post(press(record, name), {"seen": "an older plan"}, follow=True)
        assert "The plan has changed meanwhile" in answer.content.decode()
    record.refresh_from_db()
    assert record.state == State.HELD
    assert not AuditEntry.objects.filter(action__in=["released", "discarded"]).exists()


def test_an_older_hold_leads_to_the_newest(acme: Tenant, root: Client) -> None:
    older, newer = make_hold(acme, 5), make_hold(acme, 6)
    assert page_of(newer) in _text(root, page_of(older))
    assert "decide there" not in _text(root, page_of(newer))


def test_viewers_see_the_decision_without_buttons(
    acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    record = make_hold(acme, 120)
    text = _text(browser_of(acme.people[Role.VIEWER]), page_of(record))
    assert "120 of 600 files" in text
    assert "/press/" not in text
    assert "sp-bottom" not in text
    operator = _text(browser_of(acme.people[Role.OPERATOR]), page_of(record))
    assert press(record, "release") in operator
    assert press(record, "discard") in operator


def test_a_poll_that_finds_another_kind_of_page_loads_it(acme: Tenant, root: Client) -> None:
    record = make_hold(acme, 5)
    url = reverse("admin:syncjobs_syncrecord_live", args=[record.pk])
    assert "HX-Refresh" not in root.get(url, {"page": "held"}).headers
    assert root.get(url)["HX-Refresh"] == "true"
    SyncRecord.objects.filter(pk=record.pk).update(state=State.QUEUED)
    assert root.get(url, {"page": "held"})["HX-Refresh"] == "true"


def test_what_ended_badly_says_it_once_with_its_buttons(
    acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    record = make_record(
        acme.job, State.PARTIAL, error="1 could not be synced", error_code="permission_refused",
        verdict="partial", files_failed=1, files_added=2,
    )  # fmt: skip
    SyncItem.objects.bulk_create(
        [
            SyncItem(record=record, path="good.txt", action="added"),
            SyncItem(record=record, path="bad.txt", action="failed", message="denied"),
        ]
    )
    operator = browser_of(acme.people[Role.OPERATOR])
    text = _text(operator, page_of(record))
    assert text.count("1 could not be synced") == 1
    assert text.index("bad.txt") < text.index("good.txt")
    assert [name for name in ("retry", "retry_failed", "test") if press(record, name) in text] == [
        "retry",
        "retry_failed",
        "test",
    ]
    assert "/press/" not in _text(browser_of(acme.people[Role.VIEWER]), page_of(record))
    answer = operator.post(press(record, "retry_failed"))
    part = SyncRecord.objects.get(trigger="redrive")
    assert answer["Location"] == page_of(part)
    assert part.redrive == {"record": str(record.pk)}
    assert "Tries only the failed files of" in _text(operator, page_of(part))
    answer = operator.post(press(record, "retry"))
    again = SyncRecord.objects.get(state=State.QUEUED, redrive__isnull=True)
    assert answer["Location"] == page_of(again)
    assert operator.post(press(record, "retry"))["Location"] == page_of(again)  # it is in its way


def test_a_record_that_succeeded_can_run_again(acme: Tenant, root: Client) -> None:
    text = _text(root, page_of(acme.record))
    assert press(acme.record, "again") in text
    assert press(acme.record, "retry") not in text
    root.post(press(acme.record, "again"))
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == 1
    answer = root.post(press(acme.record, "retry_failed"), follow=True)
    assert "None of its files has failed" in answer.content.decode()


def test_the_ledger_is_searched(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job)
    SyncItem.objects.bulk_create(
        SyncItem(record=record, path=f"folder/{n:03}.txt", action="added") for n in range(30)
    )
    url = reverse("admin:syncjobs_syncrecord_files", args=[record.pk])
    assert len(root.get(url, {"q": "/00"}).context["files"]) == 10
    part = root.get(url, {"q": "007"}, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div class="sp-flush" id="ledger"')
    assert "No such file" in root.get(url, {"q": "nothing"}).content.decode()


@pytest.mark.parametrize("state", [State.RUNNING, State.QUEUED, State.FAILED, State.SUCCEEDED])
def test_a_records_page_costs_few_queries(
    acme: Tenant,
    root: Client,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    state: State,
) -> None:
    record = make_record(acme.job, state)
    root.get(page_of(record))
    with django_assert_max_num_queries(QUERIES_MAX):
        root.get(page_of(record))


def test_a_decisions_page_costs_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    record = make_hold(acme, 300)
    root.get(page_of(record))
    with django_assert_max_num_queries(QUERIES_MAX):
        root.get(page_of(record))

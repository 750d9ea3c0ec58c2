"""The tab "Keeping": the rule in people's units, what goes next, and a deletion that is typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from datasets.models import Dataset, Entry, Version
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.upkeep.retention import retain
from tests.console.conftest import Tenant
from tests.console.urls import page_of, status_of
from workspaces.models import AuditEntry, Role, Workspace


def tab(acme: Tenant, name: str = "keeping") -> str:
    return reverse(f"admin:datasets_dataset_{name}", args=[acme.dataset.pk])


@pytest.fixture
def held(acme: Tenant) -> Tenant:
    """Five versions, each with a content of 1,000 bytes that no other has; its job is off and at rest."""
    dataset = acme.dataset
    SyncRecord.objects.filter(job=acme.job).exclude(state=State.SUCCEEDED).delete()
    SyncJob.objects.filter(pk=acme.job.pk).update(enabled=False)
    for number in range(2, 6):
        Entry.objects.filter(dataset=dataset, until=None).update(until=number)
        Entry.objects.create(
            dataset=dataset,
            path="data.bin",
            size_bytes=1000,
            sha256=bytes([number]) * 32,
            since=number,
        )
        dataset.versions.update(is_current=False)
        Version.objects.create(dataset=dataset, number=number, file_count=1, size_bytes=1000)
    return acme


def save(client: Client, acme: Tenant, **given: str) -> str:
    answer = client.post(tab(acme), given, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def rule_of(acme: Tenant) -> tuple[int | None, int | None, int | None]:
    job = SyncJob.objects.get(pk=acme.job.pk)
    return job.keep_versions, job.keep_days, job.keep_bytes


def test_a_rule_is_said_in_peoples_units_and_what_goes_is_told(held: Tenant, root: Client) -> None:
    text = save(root, held, choice="own", days="", versions="3", size="", unit="GiB")
    assert rule_of(held) == (3, None, None)
    assert "Kept are the newest 3 versions." in text
    assert "<b>2 versions</b> go (v1 to v2)" in text
    assert "2 contents that no kept version has" in text
    retain()
    trail = root.get(page_of(AuditEntry.objects.get(action="versions removed"))).content.decode()
    assert "<b>oldest_version</b>: 1 → 3" in trail
    Version.either.update(expired_at=None)
    text = save(root, held, choice="own", days="90", versions="10", size="1.5", unit="GiB")
    assert rule_of(held) == (10, 90, 3 << 29)
    assert "each for 90 days after a newer one took its place" in text
    assert "at most 1.5 GiB" in text
    assert "No version goes now." in text
    assert 'value="1.5"' in text
    assert "Every version is kept." in save(root, held, choice="every")
    assert rule_of(held) == (0, None, None)
    Workspace.objects.filter(pk=held.workspace.pk).update(keep_versions=4)
    text = save(root, held, choice="workspace")
    assert rule_of(held) == (None, None, None)
    assert "So says the workspace." in text
    assert "<b>1 version</b> goes (v1)" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"choice": "own"}, "Say at least one of the three"),
        ({"choice": "own", "days": "0"}, "greater than or equal to 1"),
        ({"choice": "own", "versions": "many"}, "Enter a whole number"),
        ({"choice": "own", "size": "99999999", "unit": "TiB"}, "more than anybody has"),
        ({"choice": "own", "size": "1", "unit": "PiB"}, ""),
        ({"choice": "nonsense"}, ""),
        ({}, ""),
    ],
)
def test_what_is_no_rule_is_told_and_changes_nothing(
    given: dict[str, str], words: str, held: Tenant, root: Client
) -> None:
    assert words in save(root, held, **given)
    assert rule_of(held) == (None, None, None)


def test_what_holds_versions_back_is_told(held: Tenant, root: Client) -> None:
    SyncRecord.objects.create(
        workspace=held.workspace,
        job=held.job,
        connector=held.connector,
        trigger="manual",
        state=State.HELD,
        hold={"rule": "mass_removal", "version": 2},
    )
    text = save(root, held, choice="own", versions="1")
    assert "waits for a decision about version 2" in text
    assert "<b>1 version</b> goes (v1)" in text


def test_a_dataset_goes_when_its_name_is_typed(held: Tenant, root: Client) -> None:
    told = root.get(tab(held, "delete_all")).content.decode()
    assert "5 versions" in told
    assert f"Type {held.dataset.name} to delete it" in told
    assert "stays, switched off" in told
    wrong = root.post(tab(held, "delete_all"), {"name": "another"})
    assert "That is not its name" in wrong.content.decode()
    assert Dataset.objects.filter(pk=held.dataset.pk).exists()
    gone = root.post(tab(held, "delete_all"), {"name": held.dataset.name}, follow=True)
    assert f"Dataset {held.dataset.name} was deleted." in gone.content.decode()
    assert not Dataset.objects.filter(pk=held.dataset.pk).exists()
    assert AuditEntry.objects.filter(kind="dataset", action="deleted").exists()
    assert "which was deleted" in root.get(status_of(held.job)).content.decode()


def test_a_record_says_that_its_version_or_its_dataset_is_gone(held: Tenant, root: Client) -> None:
    record = SyncRecord.objects.create(
        workspace=held.workspace,
        job=held.job,
        connector=held.connector,
        trigger="manual",
        state=State.SUCCEEDED,
        finished_at="2026-01-01T00:00:00Z",
        started_at="2026-01-01T00:00:00Z",
        dataset_version=2,
    )
    assert "which was removed" not in root.get(page_of(record)).content.decode()
    Version.objects.filter(dataset=held.dataset, number__lte=2).update(
        expired_at="2026-02-01T00:00:00Z"
    )
    assert "v2, which was removed" in root.get(page_of(record)).content.decode()
    root.post(tab(held, "delete_all"), {"name": held.dataset.name})
    assert "with its dataset" in root.get(page_of(record)).content.decode()


def test_a_dataset_in_use_says_what_to_do_and_stays(held: Tenant, root: Client) -> None:
    SyncJob.objects.filter(pk=held.job.pk).update(enabled=True)
    assert "switch the job off first" in root.get(tab(held, "delete_all")).content.decode()
    answer = root.post(tab(held, "delete_all"), {"name": held.dataset.name})
    assert "Nothing was deleted" in answer.content.decode()
    assert Dataset.objects.filter(pk=held.dataset.pk).exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_an_admin_decides(
    role: Role, held: Tenant, browser_of: Callable[[User], Client]
) -> None:
    client = browser_of(held.people[role])
    page = client.get(tab(held)).content.decode()
    assert "How long versions are kept" in page
    assert 'id="keep-save"' not in page
    assert 'id="delete-dataset"' not in page
    assert client.post(tab(held), {"choice": "own", "versions": "2"}).status_code == 403
    assert client.get(tab(held, "delete_all")).status_code == 403
    assert client.post(tab(held, "delete_all"), {"name": held.dataset.name}).status_code == 403
    assert rule_of(held) == (None, None, None)
    assert Dataset.objects.filter(pk=held.dataset.pk).exists()


def test_an_admin_of_another_workspace_finds_nothing(
    held: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    client = browser_of(lab.people[Role.ADMIN])
    for name, given in (("keeping", {"choice": "every"}), ("delete_all", {"name": "x"})):
        assert client.post(tab(held, name), given).status_code == 404

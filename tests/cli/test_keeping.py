"""`retention` and `delete_dataset`, as a person in a shell calls them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from datasets.models import Dataset
from syncjobs.models import SyncJob
from tests.api.test_keeping import NOWHERE, hold
from tests.rows import make_connector, make_job
from workspaces.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job() -> SyncJob:
    job = make_job(make_connector(NOWHERE), name="nightly", enabled=False)
    hold(job, 5)
    return job


def call(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    call_command(*words)
    return capsys.readouterr().out.strip()


def test_retention_says_what_would_go_and_removes_it(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "retention") == "no dataset has a rule: every version is kept"
    Workspace.objects.update(keep_versions=3)
    line = "acme/nightly (keep_versions 3): v1 to v2 would go, 3 stay; that would free 2 contents, 21 bytes"
    assert call(capsys, "retention", "--dry-run") == line
    assert job.dataset.versions.count() == 5
    told: dict[str, Any] = json.loads(call(capsys, "retention", "--dry-run", "--json"))
    [item] = told["items"]
    assert (item["workspace"], item["dataset"], item["first_removed"], item["last_removed"]) == (
        "acme", "nightly", 1, 2,
    )  # fmt: skip
    assert "v1 to v2 went, 3 stay; that frees 2 contents" in call(capsys, "retention")
    assert "all 3 versions stay" in call(capsys, "retention")
    assert job.dataset.versions.count() == 3
    assert AuditEntry.objects.get(action="versions removed").door == "command"


def test_retention_of_one_workspace_leaves_the_others(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_job(make_connector(NOWHERE, workspace="lab"), name="theirs", enabled=False)
    hold(other, 4)
    Workspace.objects.update(keep_versions=2)
    assert call(capsys, "retention", "--workspace", "lab").startswith("lab/theirs")
    assert (other.dataset.versions.count(), job.dataset.versions.count()) == (2, 5)


def test_a_dataset_is_deleted_only_where_somebody_says_so(
    job: SyncJob, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("nightly\n"))
    with pytest.raises(CommandError, match="--yes"):
        call_command("delete_dataset", "nightly", "--workspace", "acme")
    said = call(capsys, "delete_dataset", "nightly", "--dry-run")
    assert "5 versions would go" in said
    assert "job nightly stays, switched off, with 0 records" in said
    assert Dataset.objects.exists()
    terminal = io.StringIO("nightli\nnightly\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(CommandError, match="not the name"):
        call_command("delete_dataset", "nightly")
    assert "5 versions gone" in call(capsys, "delete_dataset", "nightly")
    with pytest.raises(CommandError, match="no dataset 'nightly'"):
        call_command("delete_dataset", "nightly", "--yes")


def test_a_dataset_in_use_is_not_deleted(job: SyncJob) -> None:
    SyncJob.objects.update(enabled=True)
    for words in (["--dry-run"], ["--yes", "--json"]):
        with pytest.raises(CommandError, match="switch the job off first"):
            call_command("delete_dataset", "nightly", *words)
    assert Dataset.objects.exists()

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from connectors.models import Connector
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.rows import make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)


def make_stuck(workspace: str) -> SyncRecord:
    connector = Connector.objects.create(
        workspace=make_workspace(workspace), name="host", kind="sftp", host="h.example", port=22
    )
    record = enqueue(make_job(connector), trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    SyncRecord.objects.filter(pk=record.pk).update(lease_expires_at=Now() - timedelta(seconds=9))
    return record


def test_cleanup_stuck_counts_by_rule_in_one_workspace_or_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours, theirs = make_stuck("acme"), make_stuck("lab")
    call_command("cleanup_stuck", "--workspace", "acme", "--dry-run")
    said = capsys.readouterr().out
    assert f"{ours.pk}  lease.expired: its lease ran out" in said
    assert "1 stuck sync found: 1 lease.expired." in said
    ours.refresh_from_db()
    assert ours.state == State.RUNNING
    call_command("cleanup_stuck", "--workspace", "acme", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["count"], told["by_rule"]) == (1, {"lease.expired": 1})
    assert [record["id"] for record in told["records"]] == [str(ours.pk)]
    theirs.refresh_from_db()
    assert theirs.state == State.RUNNING
    call_command("cleanup_stuck")
    assert "1 stuck sync cleaned up" in capsys.readouterr().out
    call_command("cleanup_stuck")
    assert capsys.readouterr().out == "No sync is stuck.\n"
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        call_command("cleanup_stuck", "--workspace", "nowhere")

"""What a command's words name."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from cli.finding import NAMED_MAX
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob, SyncRecord
from tests.rows import make_connector, make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)

TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
COMMANDS = {
    "sync": ("sync job",),
    "fires": ("sync job",),
    "backfill": ("sync job", "--since=2026-01-01"),
    "test_connector": ("connector",),
    "diff": ("dataset", "1", "2"),
    "checkout": ("dataset", "folder"),
}


@pytest.fixture
def job() -> SyncJob:
    return make_job(make_connector(TARGET), name="nightly")


def test_a_job_is_named_by_its_id_too(job: SyncJob) -> None:
    call_command("sync", str(job.pk), workspace=str(job.workspace_id))
    assert SyncRecord.objects.get().job == job


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("called", ["nobody", "\0", "\udcff", "x" * 5_000], ids=repr)
def test_n04_what_names_nothing_is_told_with_what_there_is(
    job: SyncJob, command: str, called: str
) -> None:
    noun, *others = COMMANDS[command]
    with pytest.raises(CommandError, match=f"no {noun} '") as told:
        call_command(command, called, *others)
    there = job.get_connector().name if noun == "connector" else "nightly"
    assert f"there are: {there}" in str(told.value)


def test_n04_a_workspace_that_can_have_no_such_name_is_not_there(job: SyncJob) -> None:
    for called in ("\0", "\udcff", "x" * 5_000):
        with pytest.raises(CommandError, match="there are: acme"):
            call_command("sync", "nightly", workspace=called)


def test_p12_another_workspaces_job_is_not_there(job: SyncJob) -> None:
    make_workspace("lab")
    for called in ("nightly", str(job.pk)):
        with pytest.raises(CommandError, match="there are: none"):
            call_command("sync", called, workspace="lab")


def test_of_many_names_the_first_are_told(job: SyncJob) -> None:
    for _ in range(NAMED_MAX):
        make_connector(TARGET)
    with pytest.raises(CommandError) as told:
        call_command("test_connector", "nobody")
    words = str(told.value)
    assert words.endswith(", …")
    assert words.count(",") == NAMED_MAX

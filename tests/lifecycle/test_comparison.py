"""What a job's comparison makes of a source, against a real host and the real database."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from datasets.models import Entry, Version
from farends.spec import Target
from farends.ssh.transport import SshOptions, SshSecret
from syncjobs.core.comparing import Comparison
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

TREE = {f"{n}.txt": b"content %d" % n for n in range(20)}


def shell_target(sshd: Sshd, folder: Path) -> Target:
    options = sshd.target(folder).options
    return Target(
        "127.0.0.1",
        sshd.port,
        SshOptions(options.username, options.root, host_key=options.host_key),
        SshSecret(private_key=sshd.private_key),
    )


def shell_job(sshd: Sshd, source: Path, **fields: object) -> SyncJob:
    fields.setdefault("comparison", Comparison.CHECKSUM)
    return make_job(make_connector(shell_target(sshd, source), kind="ssh"), **fields)


def compare_by(job: SyncJob, comparison: Comparison) -> None:
    job.comparison = comparison
    job.save()


def touch(path: Path) -> None:
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 60 * 10**9))


def test_a_touched_file_is_no_change_by_checksum_and_its_new_time_is_known(
    sshd: Sshd, source: Path
) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source)
    run(job)
    held_ns = Entry.objects.get(path="3.txt").modified_ns
    touch(source / "3.txt")
    record = run(job)
    assert (record.files_changed, record.bytes_transferred) == (0, 0)
    entry = Entry.objects.get(path="3.txt")
    assert entry.modified_ns == held_ns  # a published version never changes
    assert entry.seen_modified_ns == (source / "3.txt").stat().st_mtime_ns
    compare_by(job, Comparison.MODIFIED)
    record = run(job)
    assert (record.files_changed, record.bytes_transferred) == (0, 0)
    assert Version.objects.count() == 1


def test_a_touched_file_that_had_to_be_fetched_is_no_change_either(
    sshd: Sshd, source: Path
) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)), comparison=Comparison.CHECKSUM)
    run(job)
    touch(source / "3.txt")
    record = run(job)
    assert (record.files_changed, record.files_unchanged) == (0, 20)
    compare_by(job, Comparison.MODIFIED)
    record = run(job)
    assert (record.bytes_transferred, Version.objects.count()) == (0, 1)


def test_a_touched_file_is_a_change_by_time(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source, comparison=Comparison.MODIFIED)
    run(job)
    touch(source / "3.txt")
    assert run(job).files_changed == 1


def test_full_mode_fetches_whatever_the_comparison(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source)
    run(job)
    record = run(job, mode=SyncMode.FULL)
    assert (record.files_unchanged, record.files_changed) == (20, 0)
    assert record.bytes_transferred == sum(map(len, TREE.values()))


def test_additions_removals_and_other_sizes_by_checksum(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source)
    run(job)
    fill(source, {"new.txt": b"new", "3.txt": b"of another size"})
    (source / "4.txt").unlink()
    record = run(job)
    assert (record.files_added, record.files_changed, record.files_removed) == (1, 1, 1)
    assert digests_of(job.dataset) == digests_below(source)


def test_size_alone_is_blind_and_says_so(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source, comparison=Comparison.SIZE)
    run(job)
    fill(source, {"3.txt": b"CONTENT 3", "4.txt": b"longer content"}, age_s=60)
    record = run(job)
    assert record.files_changed == 1
    assert digests_of(job.dataset) == digests_below(source) | {
        "3.txt": hashlib.sha256(b"content 3").hexdigest()
    }


def test_a_dry_run_by_checksum_asks_and_fetches_nothing(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source)
    run(job)
    path = source / "3.txt"
    stat = path.stat()
    path.write_bytes(b"CONTENT 3")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    record = run(job, dry_run=True)
    assert (record.files_changed, record.files_unchanged) == (1, 19)
    assert record.bytes_transferred == 0


Answers = Callable[[Request], tuple[bytes, list[str]]]


@contextmanager
def web_host(answers: Answers) -> Iterator[ScriptedHttp]:
    """Serves one file, `/file`."""

    def script(request: Request, conversation: Conversation) -> None:
        if request.target == "/":
            conversation.answer(b'<html><a href="file">file</a></html>', "Content-Type: text/html")
            return
        body, fields = answers(request)
        if request.method == "HEAD":
            lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""]
            conversation.say("\r\n".join(lines).encode())
        else:
            conversation.answer(body, *fields)

    with scripted_http(script) as host:
        yield host


def repr_digest(content: bytes) -> str:
    return f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


MODIFIED = "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT"


def http_job(host: ScriptedHttp, comparison: Comparison) -> SyncJob:
    return make_job(make_connector(host.target(), kind="http"), comparison=comparison)


def test_what_comes_with_another_digest_than_told_is_unstable_and_tried_again() -> None:
    served = {"content": b"one", "told": b"one", "gets": 0}

    def answers(request: Request) -> tuple[bytes, list[str]]:
        if request.method == "GET":
            served["gets"] += 1  # type: ignore[operator]
        wants = "want-repr-digest" in request.fields
        told = [repr_digest(served["told"])] if wants else []  # type: ignore[arg-type]
        return served["content"], [MODIFIED, *told]  # type: ignore[return-value]

    with web_host(answers) as host:
        job = http_job(host, Comparison.CHECKSUM)
        assert run(job).files_added == 1
        served |= {"content": b"two", "told": b"2wo", "gets": 0}
        record = run(job)
        assert (record.state, record.error_code) == (State.PARTIAL, "unstable")
        assert served["gets"] == 2
        assert list(digests_of(job.dataset).values()) == [hashlib.sha256(b"one").hexdigest()]
        served |= {"told": b"two"}
        assert run(job).files_changed == 1
        assert list(digests_of(job.dataset).values()) == [hashlib.sha256(b"two").hexdigest()]


def test_a_file_that_changed_after_it_was_asked_about_is_asked_about_again() -> None:
    served = {"content": b"one", "gets": 0}

    def answers(request: Request) -> tuple[bytes, list[str]]:
        content: bytes = served["content"]  # type: ignore[assignment]
        told = [repr_digest(content)] if "want-repr-digest" in request.fields else []
        if request.method == "GET" and content == b"two":
            served["content"] = content = b"3ee"
        return content, [MODIFIED, *told]

    with web_host(answers) as host:
        job = http_job(host, Comparison.CHECKSUM)
        run(job)
        served["content"] = b"two"
        record = run(job)
        assert (record.state, record.files_changed) == (State.SUCCEEDED, 1)
        assert list(digests_of(job.dataset).values()) == [hashlib.sha256(b"3ee").hexdigest()]


@pytest.mark.parametrize(
    ("etags", "gets"), [(('"a"', '"a"'), 0), (('"a"', '"b"'), 1), (('W/"a"', 'W/"a"'), 1)]
)
def test_only_an_equal_strong_etag_spares_the_transfer(etags: tuple[str, str], gets: int) -> None:
    served = {"etag": etags[0], "gets": 0}

    def answers(request: Request) -> tuple[bytes, list[str]]:
        served["gets"] += request.method == "GET"  # type: ignore[operator]
        return b"one", [MODIFIED, f"ETag: {served['etag']}"]

    with web_host(answers) as host:
        job = http_job(host, Comparison.ETAG)
        run(job)
        served |= {"etag": etags[1], "gets": 0}
        record = run(job)
        assert (record.state, served["gets"]) == (State.SUCCEEDED, gets)
        assert record.files_unchanged == 1


def verified(job: SyncJob) -> bool:
    """Whether the last record counted as a look at every content; forgets it."""
    job.refresh_from_db()
    looked = job.last_verified_at is not None
    SyncJob.objects.filter(pk=job.pk).update(last_verified_at=None)
    return looked


def test_what_counts_as_a_look_at_every_content(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source, comparison=Comparison.MODIFIED)
    run(job)
    assert verified(job)  # all was new
    run(job)
    assert not verified(job)
    run(job, mode=SyncMode.FULL, dry_run=True)
    assert not verified(job)
    run(job, mode=SyncMode.FULL)
    assert verified(job)
    compare_by(job, Comparison.CHECKSUM)
    run(job)
    assert verified(job)


def test_a_record_that_was_capped_verifies_nothing(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = shell_job(sshd, source, comparison=Comparison.MODIFIED, max_files=5)
    run(job, mode=SyncMode.FULL)
    assert not verified(job)
    job.verify_every_s = 60
    with pytest.raises(ValidationError, match="verify no whole"):
        job.full_clean(exclude=["dataset"])

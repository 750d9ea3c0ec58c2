"""Files and clocks that disagree: what is fetched again, and what not. docs/decisions/008."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from connectors.models import Connector
from connectors.opening import find_capabilities, test_connector
from datasets.models import Entry
from farends.measuring import SECOND_NS
from syncjobs.models import SyncJob, SyncMode
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sshd import Sshd
from tests.lifecycle.test_comparison import shell_target
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

HOUR_S, YEAR_S = 3600, 365 * 86_400
test_connector.__test__ = False  # type: ignore[attr-defined]


def shell_job(sshd: Sshd, source: Path, **fields: object) -> SyncJob:
    return make_job(make_connector(shell_target(sshd, source), kind="ssh"), **fields)


def fetched(job: SyncJob) -> int:
    return run(job).bytes_transferred


@pytest.mark.parametrize("ahead_s", [HOUR_S, YEAR_S])
def test_a_file_from_the_future_is_fetched_once(sshd: Sshd, source: Path, ahead_s: int) -> None:
    fill(source, {"a": b"future"}, age_s=-ahead_s)
    job = shell_job(sshd, source)
    assert (fetched(job), fetched(job), fetched(job)) == (6, 0, 0)


def test_when_its_time_has_come_it_is_looked_at_once_more(sshd: Sshd, source: Path) -> None:
    """A write in that very tick would have kept its time."""
    fill(source, {"a": b"future"}, age_s=-YEAR_S)
    job = shell_job(sshd, source)
    fetched(job)
    then_ns = (int(time.time()) - HOUR_S) * SECOND_NS  # as if the year had passed
    Entry.objects.update(modified_ns=then_ns)
    (source / "a").write_bytes(b"FUTURE")
    os.utime(source / "a", ns=(then_ns, then_ns))
    assert (fetched(job), fetched(job)) == (6, 0)


def test_where_the_clock_is_not_known_a_near_future_may_be_its_now(
    sshd: Sshd, source: Path
) -> None:
    fill(source, {"near": b"near"}, age_s=-HOUR_S)
    fill(source, {"far": b"further"}, age_s=-YEAR_S)
    job = make_job(make_connector(sshd.target(source)))
    assert (fetched(job), fetched(job)) == (11, 4)


def test_a_file_from_the_future_does_not_wait_to_settle(sshd: Sshd, source: Path) -> None:
    fill(source, {"future": b"x"}, age_s=-YEAR_S)
    fill(source, {"young": b"x"}, age_s=0)
    record = run(shell_job(sshd, source, settle_s=600))
    assert (record.files_added, record.files_deferred) == (1, 1)
    assert Entry.objects.get().path == "future"


@contextmanager
def web_host(*, behind_s: int, age_s: int) -> Iterator[ScriptedHttp]:
    """Its clock is behind; its one file is of an age by that clock."""
    began_s = int(time.time())

    def script(request: Request, conversation: Conversation) -> None:
        fields = [f"Date: {formatdate(time.time() - behind_s, usegmt=True)}"]
        if request.target == "/":
            conversation.answer(b'<html><a href="file">file</a></html>', *fields)
            return
        fields.append(f"Last-Modified: {formatdate(began_s - behind_s - age_s, usegmt=True)}")
        if request.method == "HEAD":
            lines = ["HTTP/1.1 200 OK", "Content-Length: 4", *fields, "", ""]
            conversation.say("\r\n".join(lines).encode())
        else:
            conversation.answer(b"body", *fields)

    with scripted_http(script) as host:
        yield host


@pytest.mark.parametrize(("age_s", "again"), [(0, 4), (HOUR_S, 0)])
def test_young_is_what_the_hosts_clock_calls_young(age_s: int, again: int) -> None:
    """A host an hour behind stamps with our last hour what it has just written."""
    with web_host(behind_s=HOUR_S, age_s=age_s) as host:
        job = make_job(make_connector(host.target(), kind="http"))
        assert (fetched(job), fetched(job)) == (4, again)
        measured = find_capabilities(Connector.objects.get())
        assert measured is not None
        assert measured.clock_skew_s is not None
        assert abs(measured.clock_skew_s + HOUR_S) < 60


def test_times_of_even_seconds_are_taken_for_no_more_than_they_are(
    sshd: Sshd, source: Path
) -> None:
    for number in range(25):
        path = source / str(number)
        path.write_bytes(b"x")
        os.utime(path, (1_700_000_000, 1_700_000_000 + 2 * number))
    connector = make_connector(sshd.target(source))
    job = make_job(connector)
    run(job)
    connector.refresh_from_db()
    measured = find_capabilities(connector)
    assert measured is not None
    assert measured.modified_precision_ns == 2 * SECOND_NS
    os.utime(source / "3", (1_700_000_007, 1_700_000_007))  # as such a disk would not tell it
    assert run(job).bytes_transferred == 1


def test_what_was_measured_belongs_to_its_endpoint(sshd: Sshd, source: Path) -> None:
    fill(source, {"a": b"x"})
    connector = make_connector(shell_target(sshd, source), kind="ssh")
    assert find_capabilities(connector) is None
    test_connector(connector)
    connector.refresh_from_db()
    measured = find_capabilities(connector)
    assert measured is not None
    assert "GNU tar" in measured.server_software
    assert connector.capabilities_at is not None
    connector.port += 1
    assert find_capabilities(connector) is None


def test_each_record_measures_anew(sshd: Sshd, source: Path) -> None:
    fill(source, {"a": b"x"})
    connector = make_connector(shell_target(sshd, source), kind="ssh")
    run(make_job(connector, comparison="checksum"))
    job = SyncJob.objects.get()
    run(job)
    connector.refresh_from_db()
    measured = find_capabilities(connector)
    assert measured is not None
    assert measured.digests == "sha256sum"
    first = connector.capabilities_at
    run(job, mode=SyncMode.FULL, dry_run=True)
    connector.refresh_from_db()
    assert connector.capabilities_at != first

"""Whole records over FTP hosts whose listings are not whole, and whose files nobody can prove whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farends.ftp.transport import FtpOptions, FtpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.hosts.proftpd import PASSWORD, USERNAME
from tests.hosts.pureftpd import running_pureftpd
from tests.hosts.scripted_ftp import MODIFY, Conversation, scripted_ftp
from tests.rows import digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 160


def troubles(record: SyncRecord) -> dict[str, str]:
    found = record.items.exclude(error_code="").values_list("path", "error_code")
    return dict(found)


@pytest.fixture
def cutting_host(tmp_path: Path) -> Iterator[tuple[Target, Path]]:
    served = tmp_path / "served"
    served.mkdir()
    with running_pureftpd(tmp_path, served, limit=LIMIT) as port:
        options = FtpOptions(username=USERNAME, root="/", allow_plaintext_password=True)
        yield Target("127.0.0.1", port, options, FtpSecret(password=PASSWORD)), served


def test_a_listing_that_pure_ftpd_cuts_removes_nothing(
    cutting_host: tuple[Target, Path],
) -> None:
    target, served = cutting_host
    fill(served, {f"old-{number:03}": b"%d" % number for number in range(155)})
    job = make_job(make_connector(target, kind="ftp"))
    record = run(job)
    assert (record.state, record.files_added) == (State.SUCCEEDED, 155)
    held = set(digests_of(job.dataset))
    fill(served, {f"new-{number}": b"%d" % number for number in range(10)})
    record = run(job)
    assert (record.state, record.files_removed) == (State.PARTIAL, 0)
    assert troubles(record) == {".": "listing_cut"}
    assert "truncated to 160 matches" in record.error
    assert held <= set(digests_of(job.dataset))


def test_a_row_in_another_form_removes_nothing() -> None:
    rows = [f"-rw-r--r--   1 a  b   1 Nov 14  2023 {number:02}.csv" for number in range(60)]
    other = {7: "07.csv (busy)", 8: "-rw-r--r-- 1 a b 1 Smarch 14 2023 08.csv", 9: "09.csv\t1"}

    def listing(conversation: Conversation, argument: str) -> None:
        conversation.send("".join(f"{row}\r\n" for row in rows).encode())

    files = {f"{number:02}.csv": b"x" for number in range(60)}
    scripts: dict[str, Any] = {
        "FEAT": lambda c, _: c.say("211 none"),
        "LIST": listing,
        "SIZE": lambda c, _: c.say("213 1"),
        "MDTM": lambda c, _: c.say(f"213 {MODIFY}"),
    }
    with scripted_ftp(files, **scripts) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        assert run(job).state == State.SUCCEEDED
        for number, row in other.items():
            rows[number] = row
        record = run(job)
    assert (record.state, record.files_removed, record.files_failed) == (State.PARTIAL, 0, 3)
    assert set(troubles(record).values()) == {"unreadable_row"}
    assert len(digests_of(job.dataset)) == 60


@pytest.mark.parametrize("reply", ["425 no data connection", "450 busy", "421 too many"])
def test_a_folder_that_is_refused_once_is_synced_whole(reply: str) -> None:
    refusals = [reply] * 2  # the second ends another session, where the first does not
    row = f"type=file;size=1;modify={MODIFY}; file\r\n"

    def listing(conversation: Conversation, argument: str) -> None:
        if argument == "/sub" and refusals:
            conversation.say(refusals.pop())
            if reply.startswith("421"):
                conversation.hang_up()
        else:
            more = "" if argument == "/sub" else f"type=dir;modify={MODIFY}; sub\r\n"
            conversation.send((row + more).encode())

    with scripted_ftp({"file": b"x", "sub/file": b"y"}, MLSD=listing) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert set(digests_of(job.dataset)) == {"file", "sub/file"}


def test_what_could_not_be_proved_whole_is_said() -> None:
    row = f"type=file;modify={MODIFY}; file\r\n"
    scripts: dict[str, Any] = {
        "MLSD": lambda c, _: c.send(row.encode()),
        "MLST": lambda c, _: c.say("502 no"),
    }
    with scripted_ftp({"file": b"hello"}, **scripts) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        record = run(job)
    assert (record.state, record.files_added) == (State.SUCCEEDED, 1)
    assert "could not be proved" in record.warning
    assert "file" in record.warning

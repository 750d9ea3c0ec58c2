"""Listings and answers that prove nothing: what is held stays, and the record says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from syncjobs.core.states import State
from syncjobs.lifecycle.execution import execute
from syncjobs.lifecycle.heartbeat import Heart
from syncjobs.lifecycle.releasing import release
from syncjobs.models import OnDelete, SyncJob, SyncRecord
from tests.hosts.asyncssh_host import AsyncsshHost, running_asyncssh
from tests.hosts.scripted_ftp import Conversation, scripted_ftp
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

CSV = {f"{n:02}.csv": b"row %d\n" % n for n in range(20)}
MODIFY = "modify=20231114221321"


@pytest.fixture(scope="module")
def asyncssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AsyncsshHost, Path]]:
    folder = tmp_path_factory.mktemp("served")
    with running_asyncssh(tmp_path_factory.mktemp("asyncssh"), folder) as host:
        yield host, folder


def failures(record: SyncRecord) -> dict[str, str]:
    return dict(record.items.filter(action="failed").values_list("path", "error_code"))


def assert_one_tree(job: SyncJob) -> None:
    """No file of the dataset is a folder of another: it can be checked out."""
    paths = set(digests_of(job.dataset))
    folders = {str(above) for path in paths for above in PurePosixPath(path).parents}
    assert not paths & folders


# One name that is a file and a folder


def over_sftp(asyncssh: tuple[AsyncsshHost, Path]) -> Iterator[tuple[SyncJob, Callable[[], None]]]:
    host, served = asyncssh
    folder = served / "conflict"
    fill(folder, {"a-file.txt": b"one", "once/inside.txt": b"held"})
    job = make_job(make_connector(host.target(folder)))

    def both() -> None:
        (folder / "once").rename(folder / "both")  # the host tells it as a file too

    yield job, both


def over_ftp(_: object) -> Iterator[tuple[SyncJob, Callable[[], None]]]:
    rows = {"/": f"type=file;size=3;{MODIFY}; a-file.txt\r\ntype=dir; once\r\n"}
    rows["/once"] = f"type=file;size=4;{MODIFY}; inside.txt\r\n"

    def listing(conversation: Conversation, argument: str) -> None:
        conversation.send(rows.get(argument.rstrip("/") or "/", "").encode())

    def both() -> None:
        rows["/both"] = rows.pop("/once")
        rows["/"] = rows["/"].replace("once", "both") + f"type=file;size=5;{MODIFY}; both\r\n"

    files = {"a-file.txt": b"one", "once/inside.txt": b"held", "both/inside.txt": b"held"}
    with scripted_ftp(files, MLSD=listing) as host:
        yield make_job(make_connector(host.target(), kind="ftp")), both


@pytest.mark.parametrize("serve", [over_sftp, over_ftp])
def test_i13_07_a_file_and_a_folder_of_one_name_are_told_and_remove_nothing(
    serve: Callable[[object], Iterator[tuple[SyncJob, Callable[[], None]]]],
    asyncssh: tuple[AsyncsshHost, Path],
) -> None:
    for job, both in serve(asyncssh):
        both()
        record = run(job)
        assert (record.state, failures(record)) == (State.PARTIAL, {"both": "type_conflict"})
        (item,) = record.items.filter(action="failed")
        assert "both/inside.txt" in item.message
        assert set(digests_of(job.dataset)) == {"a-file.txt"}


def test_i13_07_what_is_held_under_a_name_that_became_both_stays(
    asyncssh: tuple[AsyncsshHost, Path],
) -> None:
    host, served = asyncssh
    folder = served / "held"
    others = {f"{n}.txt": b"%d" % n for n in range(30)}
    fill(folder, others | {"twice/inside.txt": b"held", "twice/other.txt": b"goes"})
    (folder / "twice").rename(folder / "thrice")
    job = make_job(make_connector(host.target(folder)))
    run(job)
    held = digests_of(job.dataset)
    fill(folder, {"thrice.also-file": b""})
    (folder / "thrice" / "other.txt").unlink()
    record = run(job)
    assert (record.state, failures(record)) == (State.PARTIAL, {"thrice": "type_conflict"})
    assert record.files_removed == 0
    assert held.items() <= digests_of(job.dataset).items()
    assert_one_tree(job)


def test_i13_07_a_file_that_became_a_folder_where_removals_do_not_apply(
    sshd: Sshd, source: Path
) -> None:
    """The dataset keeps the file, so it cannot take in what lies in the folder."""
    fill(source, {"name": b"a file", "folder/inside": b"kept", "other": b"x"})
    job = make_job(make_connector(sshd.target(source)), on_delete=OnDelete.IGNORE)
    run(job)
    held = digests_of(job.dataset)
    (source / "name").unlink()
    (source / "folder" / "inside").unlink()
    (source / "folder").rmdir()
    fill(source, {"name/deep/inside": b"new", "folder": b"now a file", "new": b"y"})
    record = run(job)
    assert record.state == State.PARTIAL
    assert failures(record) == dict.fromkeys(("name", "folder"), "type_conflict")
    assert digests_of(job.dataset) == held | {
        path: digest for path, digest in digests_below(source).items() if path == "new"
    }


def test_i13_07_a_file_that_became_a_folder_is_a_change_like_any_other(
    sshd: Sshd, source: Path
) -> None:
    fill(source, {f"{n}": b"%d" % n for n in range(30)})
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    (source / "7").unlink()
    fill(source, {"7/inside": b"new"})
    record = run(job)
    assert (record.state, record.files_added, record.files_removed) == (State.SUCCEEDED, 1, 1)
    assert digests_of(job.dataset) == digests_below(source)


# Many files that become one thing


def test_i13_08_files_that_all_become_one_content_are_held(sshd: Sshd, source: Path) -> None:
    fill(source, CSV)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    held = digests_of(job.dataset)
    fill(source, dict.fromkeys(CSV, b"this file has been archived"), age_s=1800)
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.mass_replacement")
    assert record.hold == {"rule": "mass_replacement", "files": 20}
    assert digests_of(job.dataset) == held
    release(record.pk, by="tests")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert (record.state, record.files_changed) == (State.SUCCEEDED, 20)
    assert digests_of(job.dataset) == digests_below(source)


def test_i13_08_copies_that_are_new_and_files_that_stay_copies_are_no_sign(
    sshd: Sshd, source: Path
) -> None:
    fill(source, dict.fromkeys(CSV, b"a template"))
    job = make_job(make_connector(sshd.target(source)))
    assert run(job).state == State.SUCCEEDED
    fill(source, dict.fromkeys(CSV, b"another template"), age_s=1800)
    assert run(job).state == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


# A folder that is refused for a moment


def test_i13_04_a_folder_that_stays_refused_is_told_once(
    asyncssh: tuple[AsyncsshHost, Path],
) -> None:
    host, served = asyncssh
    folder = served / "refusing"
    fill(folder, {f"{n}.txt": b"%d" % n for n in range(30)} | {"failing/inside.txt": b"held"})
    (folder / "failing").rename(folder / "fine")
    job = make_job(make_connector(host.target(folder)))
    run(job)
    (folder / "fine").rename(folder / "failing")
    record = run(job)
    assert (record.state, failures(record)) == (State.PARTIAL, {"failing": "unreadable"})
    assert record.files_removed == 0


def test_i13_01_a_name_that_is_cut_in_its_row_removes_nothing_of_its_folder() -> None:
    """The row is well-formed, so only asking for the file shows that there is none of that name."""
    files = {f"{n:02}.csv": b"x" for n in range(30)} | {
        "folder/00.csv": b"x",
        "folder/01.csv": b"x",
    }
    names = {"/": [name for name in files if "/" not in name], "/folder": ["00.csv", "01.csv"]}

    def listing(conversation: Conversation, argument: str) -> None:
        folder = argument.rstrip("/") or "/"
        rows = "".join(f"type=file;size=1;{MODIFY}; {name}\r\n" for name in names[folder])
        conversation.send((rows + ("type=dir; folder\r\n" if folder == "/" else "")).encode())

    with scripted_ftp(files, MLSD=listing) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        run(job)
        names["/"][7] = "07.c"
        names["/folder"].remove("00.csv")
        record = run(job)
    assert record.state == State.PARTIAL
    assert record.items.get(path="07.csv").error_code == "doubtful_listing"
    assert "07.csv" in digests_of(job.dataset)
    assert record.items.get(action="removed").path == "folder/00.csv"

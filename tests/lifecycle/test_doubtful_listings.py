"""Listings and answers that prove nothing: what is held stays, and the record says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import OnDelete, SyncJob, SyncRecord
from syncjobs.records.asking import release
from tests.hosts.asyncssh_host import AsyncsshHost, running_asyncssh
from tests.hosts.scripted_ftp import Conversation, scripted_ftp
from tests.hosts.scripted_http import Conversation as HttpConversation
from tests.hosts.scripted_http import Request, scripted_http
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

CSV = {f"{n:02}.csv": b"row %d\n" % n for n in range(20)}
LAST_MODIFIED = "Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT"
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


def say(request: Request, conversation: HttpConversation, body: bytes, *fields: str) -> None:
    """To HEAD just the head of the same answer."""
    fields = ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields)
    head = "".join(f"{field}\r\n" for field in fields)
    conversation.say(f"{head}\r\n".encode() + (b"" if request.method == "HEAD" else body))


def over_http(_: object) -> Iterator[tuple[SyncJob, Callable[[], None]]]:
    page = '<html><title>Index of /</title><a href="{}">{}</a></html>'
    pages = {"/": page.format("a-file.txt", "a-file.txt") + page.format("once/", "once/")}
    pages["/once/"] = pages["/both/"] = page.format("inside.txt", "inside.txt")
    files = {"/a-file.txt": b"one", "/once/inside.txt": b"held", "/both/inside.txt": b"held"}
    files["/both"] = b"a file"

    def script(request: Request, conversation: HttpConversation) -> None:
        if request.target in pages:
            say(request, conversation, pages[request.target].encode(), "Content-Type: text/html")
        else:
            say(request, conversation, files[request.target], LAST_MODIFIED)

    def both() -> None:
        pages["/"] = pages["/"].replace("once", "both") + page.format("both", "both")

    with scripted_http(script) as host:
        yield make_job(make_connector(host.target(), kind="http")), both


@pytest.mark.parametrize("serve", [over_sftp, over_ftp, over_http])
def test_a_file_and_a_folder_of_one_name_are_told_and_remove_nothing(
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


def test_what_is_held_under_a_name_that_became_both_stays(
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


def test_a_file_that_became_a_folder_where_removals_do_not_apply(sshd: Sshd, source: Path) -> None:
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


def test_a_file_that_became_a_folder_is_a_change_like_any_other(sshd: Sshd, source: Path) -> None:
    fill(source, {f"{n}": b"%d" % n for n in range(30)})
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    (source / "7").unlink()
    fill(source, {"7/inside": b"new"})
    record = run(job)
    assert (record.state, record.files_added, record.files_removed) == (State.SUCCEEDED, 1, 1)
    assert digests_of(job.dataset) == digests_below(source)


# Many files that become one thing


def test_files_that_all_become_one_content_are_held(sshd: Sshd, source: Path) -> None:
    fill(source, CSV)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    held = digests_of(job.dataset)
    fill(source, dict.fromkeys(CSV, b"this file has been archived"), age_s=1800)
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.mass_replacement")
    assert record.hold is not None
    assert (record.hold["rule"], record.hold["files"]) == ("mass_replacement", 20)
    assert digests_of(job.dataset) == held
    release(record.pk, by="tests")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert (record.state, record.files_changed) == (State.SUCCEEDED, 20)
    assert digests_of(job.dataset) == digests_below(source)


def test_copies_that_are_new_and_files_that_stay_copies_are_no_sign(
    sshd: Sshd, source: Path
) -> None:
    fill(source, dict.fromkeys(CSV, b"a template"))
    job = make_job(make_connector(sshd.target(source)))
    assert run(job).state == State.SUCCEEDED
    fill(source, dict.fromkeys(CSV, b"another template"), age_s=1800)
    assert run(job).state == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


def page_in_place_of(
    files: dict[str, bytes], how: str
) -> Callable[[Request, HttpConversation], None]:
    """A site whose every file is answered by a log-in page while `files` holds None for it."""

    def script(request: Request, conversation: HttpConversation) -> None:
        name = request.target.partition("?")[0].removeprefix("/")
        if not name:
            rows = "".join(f'<a href="{each}">{each}</a>\n' for each in files)
            page = f"<html><title>Index of /</title>{rows}</html>"
            say(request, conversation, page.encode(), "Content-Type: text/html")
        elif name == "log-in":
            say(
                request,
                conversation,
                b"<html>Log in</html>",
                "Content-Type: text/html; charset=utf-8",
            )
        elif files[name]:
            say(request, conversation, files[name], "Content-Type: text/csv", LAST_MODIFIED)
        elif how == "error":
            say(request, conversation, b"Access denied", "Content-Type: text/plain")
        elif how == "redirect":
            conversation.answer(b"", f"Location: /log-in?next={name}", status="302 Found")
        else:
            page = f"<html>Log in to see {name}</html>"
            say(request, conversation, page.encode(), "Content-Type: Text/HTML;charset=utf-8")

    return script


@pytest.mark.parametrize("how", ["redirect", "page", "error"])
def test_a_log_in_page_in_the_place_of_every_file_is_held(how: str) -> None:
    for known in (True, False):
        files = dict(CSV) if known else dict.fromkeys(CSV, b"")
        with scripted_http(page_in_place_of(files, how)) as host:
            job = make_job(make_connector(host.target(), kind="http"))
            if known:
                assert run(job).state == State.SUCCEEDED
                files.update(dict.fromkeys(CSV, b""))
            record = run(job)
        assert (record.state, record.verdict) == (State.HELD, "guard.mass_replacement")
        words = {"redirect": "log-in", "page": "text/html", "error": "text/plain"}
        assert words[how] in record.error
        assert job.dataset.versions.count() == known


# A listing that may have been cut


def numbered(count: int) -> bytes:
    return "".join(f"type=file;size=1;{MODIFY}; {n:05}\r\n" for n in range(count)).encode()


@pytest.mark.parametrize(("rows", "held"), [(1_000, True), (998, True), (1_001, False)])
def test_a_round_number_of_rows_removes_nothing_without_a_person(rows: int, held: bool) -> None:
    listings = [numbered(rows + 20), numbered(rows)]
    files = {f"{n:05}": b"x" for n in range(rows + 20)}
    with scripted_ftp(files, MLSD=lambda c, _: c.send(listings[0])) as host:
        job = make_job(make_connector(host.target(), kind="ftp"), include=["*9"])
        run(job)
        del listings[0]
        record = run(job)
        if held:
            assert (record.state, record.verdict) == (State.HELD, "guard.round_listing")
            assert "the root folder" in record.error
            release(record.pk, by="tests")
            execute(record.pk, Heart("test"))
            record.refresh_from_db()
    assert (record.state, record.files_removed) == (State.SUCCEEDED, 2)


def test_a_round_listing_is_no_matter_where_its_own_names_are_all_there() -> None:
    """What went lay deeper, in a folder that is listed still."""
    root = numbered(999) + b"type=dir; folder\r\n"
    inner = {True: numbered(20), False: numbered(19)}
    full = True
    files = {f"{n:05}": b"x" for n in range(999)} | {f"folder/{n:05}": b"x" for n in range(20)}

    def listing(conversation: Conversation, argument: str) -> None:
        conversation.send(inner[full] if "folder" in argument else root)

    with scripted_ftp(files, MLSD=listing) as host:
        job = make_job(make_connector(host.target(), kind="ftp"), include=["*9"])
        run(job)
        full = False
        record = run(job)
    assert (record.state, record.files_removed) == (State.SUCCEEDED, 1)


# A folder that is refused for a moment


def test_a_folder_that_stays_refused_is_told_once(
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


def test_a_name_that_is_cut_in_its_row_removes_nothing_of_its_folder() -> None:
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


# Links that lead elsewhere


@pytest.mark.parametrize("reply", ["425 Cannot open data connection", "450 Busy"])
def test_a_folder_that_is_refused_once_is_listed_again(reply: str) -> None:
    files = {f"folder/{n:05}": b"x" for n in range(30)} | {"other": b"y"}
    asked: list[str] = []

    def listing(conversation: Conversation, argument: str) -> None:
        asked.append(argument)
        if "folder" not in argument:
            conversation.send(f"type=dir; folder\r\ntype=file;size=1;{MODIFY}; other\r\n".encode())
        elif asked.count(argument) == 2:  # the second record's first look
            conversation.close_listener()
            conversation.say(reply)
        else:
            conversation.send(numbered(30 if asked.count(argument) == 1 else 29))

    with scripted_ftp(files, MLSD=listing) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        run(job)
        record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert record.files_removed == 1


def test_links_that_come_to_lead_to_another_host_keep_their_files() -> None:
    names = [f"{n:02}.csv" for n in range(20)]
    links = {name: name for name in names} | {"folder/": "folder/"}
    inner = "".join(f'<a href="{name}">{name}</a>' for name in names)

    def script(request: Request, conversation: HttpConversation) -> None:
        if request.target.endswith("/"):
            rows = "".join(f'<a href="{to}">{name}</a>\n' for name, to in links.items())
            rows = inner if "folder" in request.target else rows
            page = f"<html><title>Index of /</title>{rows}</html>"
            say(request, conversation, page.encode(), "Content-Type: text/html")
        else:
            say(request, conversation, b"row", "Content-Type: text/csv", LAST_MODIFIED)

    with scripted_http(script) as host:
        job = make_job(make_connector(host.target(), kind="http"))
        assert run(job).files_added == 40
        links["07.csv"] = "https://cdn.example.com/07.csv"
        links["folder/"] = "https://cdn.example.com/folder/"
        del links["08.csv"]
        record = run(job)
    assert record.state == State.PARTIAL
    moved = {"07.csv"} | {f"folder/{name}" for name in names}
    assert failures(record) == dict.fromkeys(moved, "leads_elsewhere")
    assert (record.files_removed, len(digests_of(job.dataset))) == (1, 39)

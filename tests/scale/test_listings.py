"""N19: many entries are listed and planned in flat memory, over a real server of each transport, and a
million in one folder over scripted ones.

The longest ones carry the marker `scale`: `make scale` runs them.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farends.contract import RemoteEntry
from farends.registry import get_spec
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import ItemAction
from tests.conformance.hosts import HOSTS
from tests.hosts.scripted_ftp import Conversation, scripted_ftp
from tests.hosts.scripted_http import Conversation as HttpConversation
from tests.hosts.scripted_http import Request, scripted_http
from tests.hosts.sinks import loopback_context
from tests.rows import make_connector, make_job, run
from tests.scale.forced import running_forced_sftp
from tests.scale.rss import rss_growth
from tests.waiting import until

MANY = 100_000
MILLION = 1_000_000
MIB = 1024 * 1024
# vsftpd has no MLSD, so it is asked twice for each file; the others are of a kind that is there already.
SLOW = {"vsftpd", "vsftpd-tls", "rsync-ssh", "nginx-html", "nginx-tls", "proftpd"}


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the files in one folder, half in a thousand."""
    outer = tmp_path_factory.mktemp("many")
    outer.chmod(0o755)  # a daemon serves as another user
    served = outer / "tree"
    for number in range(MANY // 2):
        folder = served / "spread" / str(number % 1_000)
        if number < 1_000:
            folder.mkdir(parents=True)
        os.close(os.open(folder / str(number), os.O_WRONLY | os.O_CREAT))
    (served / "flat").mkdir()
    for number in range(MANY // 2):
        os.close(os.open(served / "flat" / f"a file {number}", os.O_WRONLY | os.O_CREAT))
    return served


HOSTS_OF_EACH = (
    "openssh", "openssh-shell", "rsync-daemon", "rsync-ssh", "nginx-html", "nginx-json", "nginx-tls",
    "proftpd", "proftpd-tls", "vsftpd", "vsftpd-tls",
)  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.scale) if name in SLOW else name
        for name in HOSTS_OF_EACH
    ],
)
def test_n19_a_hundred_thousand_files_are_planned_in_flat_memory(
    name: str, many: Path, tmp_path: Path
) -> None:
    with HOSTS[name](tmp_path, many.parent) as host:
        job = make_job(make_connector(host.target(many), kind=host.spec.kind))
        with rss_growth() as growth:
            record = run(job, dry_run=True)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    left_out = record.items.exclude(action=ItemAction.ADDED).values_list("path", "message")[:10]
    assert (record.files_added, list(left_out)) == (MANY, [])
    assert growth.peak_bytes < 96 * MIB


def _ftp(home: Path) -> Iterator[Target]:
    def pour(conversation: Conversation, argument: str) -> None:
        connected = conversation.accept()
        conversation.say("150 a million")
        with connected:
            for turn in range(MILLION // 1_000):
                rows = (
                    f"type=file;size=5;modify=20231114221321; a file {turn * 1_000 + n}\r\n"
                    for n in range(1_000)
                )
                connected.sendall("".join(rows).encode())
        conversation.say("226 done")

    with scripted_ftp(MLSD=pour) as host:
        yield host.target()


def _http(home: Path) -> Iterator[Target]:
    def script(request: Request, conversation: HttpConversation) -> None:
        moment = b"Last-Modified: Fri, 07 Nov 2025 12:30:40 GMT\r\n\r\n"
        if request.method == "HEAD":
            conversation.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + moment)
            return
        conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for turn in range(MILLION // 1_000):
            rows = (
                f'<a href="f{turn * 1_000 + n}">f</a>   07-Nov-2025 12:30      5\n'
                for n in range(1_000)
            )
            page = "".join(rows).encode()
            conversation.say(b"%x\r\n" % len(page) + page + b"\r\n")
        conversation.say(b"0\r\n\r\n")

    with scripted_http(script) as host:
        yield host.target()


def _sftp(home: Path) -> Iterator[Target]:
    with running_forced_sftp(home, home, str(MILLION)) as target:
        yield target


@pytest.fixture
def million(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    serve: dict[str, Callable[[Path], Iterator[Target]]] = {
        "ftp": _ftp,
        "http": _http,
        "sftp": _sftp,
    }
    yield from serve[request.param](tmp_path)


@pytest.mark.scale
@pytest.mark.parametrize(
    ("million", "kind"), [(kind, kind) for kind in ("sftp", "ftp", "http")], indirect=["million"]
)
def test_n19_a_million_entries_in_one_folder_are_streamed(million: Target, kind: str) -> None:
    transport = get_spec(kind).open(million, loopback_context())
    with rss_growth() as growth:
        count = sum(isinstance(item, RemoteEntry) for item in transport.walk())
    transport.close()
    assert count == MILLION
    assert growth.peak_bytes < 256 * MIB


@pytest.mark.scale
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("million", "kind"), [(kind, kind) for kind in ("sftp", "ftp", "http")], indirect=["million"]
)
def test_n19_a_million_entries_are_planned_in_flat_memory(million: Target, kind: str) -> None:
    job = make_job(make_connector(million, kind=kind))
    with rss_growth() as growth:
        record = run(job, dry_run=True)
    assert (record.state, record.files_added) == (State.SUCCEEDED, MILLION)
    assert growth.peak_bytes < 256 * MIB


def test_the_watch_on_memory_sees_what_is_held_and_let_go() -> None:
    with (
        rss_growth() as growth,
        mmap.mmap(-1, 64 * MIB) as held,
    ):  # pages of its own, never some freed earlier
        held.write(os.urandom(64 * MIB))
        until(lambda: growth.peak_bytes > 32 * MIB, "the watch did not see it")
    assert growth.peak_bytes > 32 * MIB

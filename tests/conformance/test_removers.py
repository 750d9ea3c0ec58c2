"""What every remover promises, on real servers: one file, as named, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farends.contract import Context, RemoteEntry, Remover
from farends.errors import (
    AlreadyThere,
    TransportError,
    UnsafeName,
    Vanished,
)
from farends.names import decode
from farends.registry import SPECS
from tests.conformance.conftest import numbered
from tests.conformance.hosts import HOSTS, Host, Tree
from tests.conformance.test_transports import AWKWARD_NAMES, MODIFIED_S
from tests.hosts.sinks import loopback_context
from tests.waiting import leaving_no_thread

REMOVERS = (
    "asyncssh",
    "openssh",
    "openssh-shell",
    "proftpd",
    "proftpd-tls",
    "pyftpdlib",
    "pyftpdlib-tls",
    "vsftpd",
    "vsftpd-tls",
)
# What a host hands to a shell, a glob or an option parser shows itself here.
HOSTILE_NAMES = [
    *AWKWARD_NAMES,
    "*",
    "?",
    "[a-z]",
    "-f",
    "--help",
    "`touch x`",
    ";touch x",
    "|x",
    "& x",
]


@pytest.fixture(scope="session", params=REMOVERS)
def host(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    home = tmp_path_factory.mktemp(f"remover-{request.param}")
    served = home / "served"
    served.mkdir()
    with HOSTS[request.param](home, served) as running:
        yield running


@pytest.fixture
def tree(host: Host) -> Tree:
    folder = host.served / numbered()
    folder.mkdir()
    folder.chmod(0o777)
    return Tree(host, folder)


@pytest.fixture
def opened(tree: Tree) -> Iterator[Callable[..., Remover]]:
    removers: list[Remover] = []

    def open_remover(context: Context | None = None) -> Remover:
        opener = tree.host.spec.open_remover
        assert opener is not None
        remover = opener(tree.host.target(tree.folder), context or loopback_context())
        removers.append(remover)
        return remover

    yield open_remover
    for remover in removers:
        remover.close()


@pytest.fixture
def remover(opened: Callable[..., Remover]) -> Remover:
    return opened()


def unlock(folder: Path) -> None:
    """Some hosts work as another user than the tests."""
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o777)


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_found_as_a_listing_tells_it(tree: Tree, remover: Remover) -> None:
    tree.put("in/a.txt", b"12345", modified_s=MODIFIED_S)
    transport = tree.open(loopback_context())
    try:
        (listed,) = transport.walk()
    finally:
        transport.close()
    assert isinstance(listed, RemoteEntry)
    assert listed.modified_ns is not None
    found = remover.find("in/a.txt")
    assert found is not None
    assert (found.path, found.size_bytes) == ("in/a.txt", 5)
    assert found.modified_ns == listed.modified_ns
    assert remover.find("in/b.txt") is None
    assert remover.find("in") is None


def test_hostile_names_are_removed_one_by_one(tree: Tree, remover: Remover) -> None:
    for name in HOSTILE_NAMES:
        tree.put(f"in/{name}", name.encode())
    unlock(tree.folder)
    left = {f"in/{name}" for name in HOSTILE_NAMES}
    for name in HOSTILE_NAMES:
        assert remover.find(f"in/{name}") is not None, name
        remover.remove(f"in/{name}")
        left.discard(f"in/{name}")
        assert names_below(tree.folder) == left


def test_hostile_names_are_moved_one_by_one(tree: Tree, remover: Remover) -> None:
    for name in HOSTILE_NAMES:
        tree.put(name, name.encode())
    expected = set(HOSTILE_NAMES)
    for name in HOSTILE_NAMES:
        remover.move(name, f"done/$(touch y)/{name}")
        expected = expected - {name} | {f"done/$(touch y)/{name}"}
        assert names_below(tree.folder) == expected
        assert (tree.folder / "done/$(touch y)" / name).read_bytes() == name.encode()


def test_n08_a_name_in_invalid_utf8_is_removed(tree: Tree, remover: Remover) -> None:
    raw = decode(b"caf\xe9-\xff\xfe.txt")
    tree.put(raw, b"latin")
    tree.put("other", b"")
    remover.move(raw, f"done/{raw}")
    assert names_below(tree.folder) == {"other", f"done/{raw}"}
    remover.remove(f"done/{raw}")
    assert names_below(tree.folder) == {"other"}


def test_n05_a_line_end_in_a_name_is_data_or_refused(tree: Tree, remover: Remover) -> None:
    name = "a\r\nDELE other"
    tree.put(name, b"x")
    tree.put("other", b"")
    if tree.host.spec.kind in ("ftp", "ftps"):
        with pytest.raises(UnsafeName):
            remover.remove(name)
        with pytest.raises(UnsafeName):
            remover.move("other", name)
        assert names_below(tree.folder) == {name, "other"}
    else:
        remover.move(name, f"done\n/{name}")
        assert names_below(tree.folder) == {f"done\n/{name}", "other"}
        remover.remove(f"done\n/{name}")
        assert names_below(tree.folder) == {"other"}


def test_a_move_replaces_nothing(tree: Tree, remover: Remover) -> None:
    tree.put("a.txt", b"new")
    tree.put("done/a.txt", b"old")
    unlock(tree.folder)
    with pytest.raises(AlreadyThere):
        remover.move("a.txt", "done/a.txt")
    assert (tree.folder / "a.txt").read_bytes() == b"new"
    assert (tree.folder / "done" / "a.txt").read_bytes() == b"old"
    remover.move("a.txt", "done/b.txt")
    assert names_below(tree.folder) == {"done/a.txt", "done/b.txt"}


def test_what_is_gone_is_told_and_the_next_file_goes_on(tree: Tree, remover: Remover) -> None:
    tree.put("real", b"x")
    with pytest.raises(TransportError) as gone:
        remover.remove("nothing")
    assert isinstance(gone.value, Vanished)
    with pytest.raises(TransportError):
        remover.move("nothing", "done/nothing")
    remover.remove("real")
    assert names_below(tree.folder) == set()


def test_a_folder_is_no_file(tree: Tree, remover: Remover) -> None:
    tree.put("folder/inside", b"x")
    assert remover.find("folder") is None
    with pytest.raises(TransportError):
        remover.remove("folder")
    assert names_below(tree.folder) == {"folder/inside"}


def test_the_answer_is_what_the_disk_says(tree: Tree, remover: Remover) -> None:
    """Whether a locked folder stops a host depends on whom it works as; what it says must be true."""
    tree.put("locked/a.txt", b"x")
    (tree.folder / "locked").chmod(0o555)
    refused = False
    try:
        remover.remove("locked/a.txt")
    except TransportError:
        refused = True
    assert names_below(tree.folder) == ({"locked/a.txt"} if refused else set())


def test_a_closed_remover_leaves_nothing(tree: Tree, opened: Callable[..., Remover]) -> None:
    opened().close()
    with leaving_no_thread():
        for _ in range(3):
            remover = opened()
            assert remover.find("nothing") is None
            remover.close()


def test_kinds_that_only_read_have_no_remover() -> None:
    assert {kind for kind, spec in SPECS.items() if spec.open_remover is None} == {
        "client",
        "http",
        "https",
        "mcp",
        "rest",
        "rsync",
        "sql",
        "webdav",
    }

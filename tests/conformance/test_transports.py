"""What every transport promises, on real servers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from farends.contract import (
    Context,
    Fetched,
    Reason,
    RemoteEntry,
    RoundListing,
    Skipped,
    Transport,
)
from farends.errors import (
    ConnectionStage,
    RootMissing,
    TooLarge,
    TransportError,
    Truncated,
    Unstable,
    Vanished,
)
from farends.names import decode
from farends.probe import probe
from farends.stages import StageOutcome
from tests.conformance.hosts import Tree
from tests.holding import nothing_left_held
from tests.hosts.sinks import DigestReceiver, DigestSink, digest_of, loopback_context
from tests.waiting import leaving_no_thread

Opened = Callable[..., Transport]
MODIFIED_S = 1_700_000_001
ENDLESS_BYTES = 1 << 40  # sparse


class Stopped(Exception):
    """What a test's check or sink raises."""


def listed(transport: Transport, tree: Tree) -> dict[str, RemoteEntry]:
    found: dict[str, RemoteEntry] = {}
    for item in transport.walk():
        if isinstance(item, RoundListing):
            continue
        assert isinstance(item, RemoteEntry), item
        assert item.path not in found
        found[item.path] = item
    return found


def fetched(transport: Transport, entries: list[RemoteEntry]) -> dict[str, Fetched]:
    sink = DigestSink()
    answers = {answer.entry.path: answer for answer in transport.fetch(entries, sink)}
    assert not sink.left_open
    assert len(answers) == len(entries)
    return answers


def need_metadata(tree: Tree) -> None:
    if not tree.host.metadata:
        pytest.skip("this host tells of files alone, and neither of folders nor of sizes and times")


AWKWARD_NAMES = [
    "with space.txt",
    " leading and trailing ",
    "Grüße-日本語-😀.txt",
    "per%20cent%zz",
    "question?mark#hash&amp;;semi=colon,comma",
    "quote\"quote'`",
    "<img src=x onerror=alert(1)>",
    "back\\slash",
    "colon:name",
    "-rf",
    "$(touch x)",
    "dots...",
    "~tilde",
    "plus+plus",
    "x" * 255,
    "é" * 127,
]


def test_a_tree_is_listed_with_size_and_time(tree: Tree, opened: Opened) -> None:
    need_metadata(tree)
    tree.put("a.txt", b"12345", modified_s=MODIFIED_S)
    tree.put("b/c/d.bin", b"x" * 70_000, modified_s=MODIFIED_S + 1)
    transport = opened()
    found = listed(transport, tree)
    precision_ns = transport.capabilities.modified_precision_ns
    assert {path: e.size_bytes for path, e in found.items()} == {"a.txt": 5, "b/c/d.bin": 70_000}
    for path, modified_s in (("a.txt", MODIFIED_S), ("b/c/d.bin", MODIFIED_S + 1)):
        told_ns = found[path].modified_ns
        assert told_ns is not None
        assert told_ns // precision_ns == modified_s * 10**9 // precision_ns


def test_awkward_names_are_listed_and_fetched(tree: Tree, opened: Opened) -> None:
    for name in AWKWARD_NAMES:
        tree.put(name, name.encode())
        tree.put(f"in {name[:100]}/file", b"")
    transport = opened()
    found = listed(transport, tree)
    assert set(AWKWARD_NAMES) <= found.keys()
    answers = fetched(transport, list(found.values()))
    for name in AWKWARD_NAMES:
        assert answers[name].receipt == digest_of(name.encode()), answers[name].error


def test_n08_a_name_in_invalid_utf8_is_kept_and_fetched(tree: Tree, opened: Opened) -> None:
    raw = b"caf\xe9-\xff\xfe.txt"
    tree.put(raw, b"latin")
    tree.put("plain", b"")
    transport = opened()
    found = listed(transport, tree)
    assert len(found) == 2
    assert fetched(transport, [found["plain"]])["plain"].error is None
    if not tree.host.raw_names:
        return  # its links to such names are broken
    assert set(found) == {decode(raw), "plain"}
    answers = fetched(transport, list(found.values()))
    assert answers[decode(raw)].receipt == digest_of(b"latin")


def test_folders_without_files_are_headway(tree: Tree) -> None:
    """A host that is slow and lists no file yet is not taken for one that stands still."""
    for number in range(30):
        (tree.folder / f"empty-{number}").mkdir()
    moves: list[int] = []
    transport = tree.open(replace(loopback_context(), moved=lambda: moves.append(1)))
    if tree.host.spec.kind != "rsync":  # whose log-in to a daemon is the beginning of the listing
        moves.clear()
    try:
        assert list(transport.walk()) == []
    finally:
        transport.close()
    if tree.host.spec.kind != "ssh":  # its script names files only: its own clock rings before ours
        assert moves


def test_an_empty_root_is_empty_and_empty_folders_leave_nothing(tree: Tree, opened: Opened) -> None:
    transport = opened()
    assert listed(transport, tree) == {}
    (tree.folder / "empty" / "emptier").mkdir(parents=True)
    assert listed(transport, tree) == {}


def test_a_missing_root_is_told(tree: Tree, opened: Opened) -> None:
    need_metadata(tree)
    with pytest.raises(RootMissing):
        list(opened(folder="nowhere").walk())


def test_many_files_in_one_folder_and_many_folders(tree: Tree, opened: Opened) -> None:
    for number in range(tree.host.many):
        tree.put(f"flat/{number:04}", b"")
    for number in range(120):
        tree.put(f"deep/{number % 10}/{number}/file", b"x")
    assert len(listed(opened(), tree)) == tree.host.many + 120


SIZES = (0, 1, 32767, 32768, 32769, 261_119, 261_120, 261_121, 1_000_000, 20 * 1024 * 1024)


def test_content_arrives_whole(tree: Tree, opened: Opened) -> None:
    contents = {str(size): os.urandom(size) for size in SIZES}
    for name, content in contents.items():
        tree.put(name, content, modified_s=MODIFIED_S)
    transport = opened()
    answers = fetched(transport, list(listed(transport, tree).values()))
    for name, content in contents.items():
        answer = answers[name]
        assert (answer.error, answer.receipt) == (None, digest_of(content))
        if tree.host.metadata:
            assert answer.observed is not None
            assert answer.observed.size_bytes == len(content)
            assert answer.observed.modified_ns == MODIFIED_S * 10**9


def test_many_files_of_mixed_sizes_arrive_whole(tree: Tree, opened: Opened) -> None:
    contents = {f"{n % 7}/{n}": os.urandom(n * 997 % 300_000) for n in range(300)}
    for name, content in contents.items():
        tree.put(name, content)
    transport = opened()
    answers = fetched(transport, list(listed(transport, tree).values()))
    assert {p: a.receipt for p, a in answers.items()} == {
        p: digest_of(content) for p, content in contents.items()
    }


def test_a_file_that_changed_after_the_listing_is_told(tree: Tree, opened: Opened) -> None:
    need_metadata(tree)
    path = tree.put("grown", b"a" * 1000, modified_s=MODIFIED_S)
    short = tree.put("shrunk", b"b" * 100_000, modified_s=MODIFIED_S)
    same = tree.put("rewritten", b"c" * 1000, modified_s=MODIFIED_S)
    transport = opened()
    found = listed(transport, tree)
    path.write_bytes(b"a" * 5000)
    short.write_bytes(b"b" * 10)
    same.write_bytes(b"d" * 1000)
    answers = fetched(transport, list(found.values()))
    grown = answers["grown"]
    assert grown.observed is not None
    assert grown.observed.size_bytes == 5000
    assert isinstance(answers["shrunk"].error, Truncated | Unstable)
    rewritten = answers["rewritten"]
    assert rewritten.observed is not None
    assert rewritten.observed.modified_ns != found["rewritten"].modified_ns


@pytest.mark.parametrize("change", ["appended", "rewritten"])
def test_d14_a_file_written_to_while_it_is_read_is_told(
    tree: Tree, opened: Opened, change: str
) -> None:
    need_metadata(tree)
    size = 8 * 1024 * 1024
    content = os.urandom(size)
    path = tree.put("file", content, modified_s=MODIFIED_S)

    def write(receiver: DigestReceiver) -> None:
        if not sink.receivers[1:] and path.stat().st_mtime == MODIFIED_S:
            with path.open("ab" if change == "appended" else "r+b") as file:
                file.write(b"more")

    transport = opened()
    found = listed(transport, tree)
    sink = DigestSink(on_write=write)
    (answer,) = transport.fetch(found.values(), sink)
    if answer.error is None:  # it did change: what was seen afterwards is not what was listed
        assert answer.observed is not None
        assert answer.observed.modified_ns is not None
        if answer.observed.modified_ns == MODIFIED_S * 10**9:  # the host had sent all by then
            assert answer.receipt == digest_of(content)
        else:
            assert answer.observed.modified_ns > (MODIFIED_S + 60) * 10**9
    else:
        assert isinstance(answer.error, Unstable | Truncated)


def test_l02_what_lies_behind_a_link_is_never_asked_for(tree: Tree, opened: Opened) -> None:
    """`d -> /elsewhere`, and then `d/secret` as if it had been listed."""
    if not tree.host.links:
        pytest.skip("a web server follows its own links and does not tell them apart")
    outside = tree.folder.parent / f"{tree.folder.name}-outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    tree.put("d/real", b"real")
    transport = opened()
    assert set(listed(transport, tree)) == {"d/real"}
    (tree.folder / "d" / "real").unlink()
    (tree.folder / "d").rmdir()
    (tree.folder / "d").symlink_to(outside)
    items = list(transport.walk())
    assert [(item.path, getattr(item, "reason", None)) for item in items] == [("d", Reason.LINK)]


def test_a_vanished_file_is_its_own_failure(tree: Tree, opened: Opened) -> None:
    for number in range(20):
        tree.put(str(number), b"x" * number)
    transport = opened()
    found = listed(transport, tree)
    (tree.folder / "7").unlink()
    answers = fetched(transport, list(found.values()))
    assert isinstance(answers.pop("7").error, Vanished)
    assert all(a.receipt == digest_of(b"x" * int(p)) for p, a in answers.items())


def test_n15_a_folder_that_refuses_is_skipped_and_the_rest_listed(
    tree: Tree, opened: Opened
) -> None:
    if not tree.host.denies:
        pytest.skip("this host cannot refuse a folder to the user that runs the tests")
    tree.put("denied/secret", b"x")
    tree.put("open/file", b"x")
    (tree.folder / "denied").chmod(0)
    items = list(opened().walk())
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["open/file"]
    (skipped,) = [item for item in items if isinstance(item, Skipped)]
    assert (skipped.path, skipped.reason) == ("denied", Reason.UNREADABLE)


def test_a_fetch_that_a_receiver_ends_leaves_the_rest_unread(tree: Tree, opened: Opened) -> None:
    """A file that no machine could read to its end: the host may send of it what is on its way."""
    with tree.put("endless").open("r+b") as file:
        file.truncate(ENDLESS_BYTES)
    tree.put("small", b"x")
    transport = opened()
    found = listed(transport, tree)

    def end(receiver: DigestReceiver) -> None:
        raise Stopped

    sink = DigestSink(on_write=end)
    with pytest.raises(Stopped):
        list(transport.fetch([replace(found["endless"], size_bytes=None)], sink))
    assert [receiver.abandoned for receiver in sink.receivers] == [True]
    (answer,) = transport.fetch([found["small"]], DigestSink())
    assert answer.receipt == digest_of(b"x")


def test_a_file_that_nobody_has_is_told_by_its_answer(tree: Tree, opened: Opened) -> None:
    (answer,) = opened().fetch([RemoteEntry("nothing", None, None)], DigestSink())
    assert isinstance(answer.error, Vanished)


def test_the_connection_test_reads_one_byte_of_a_file_without_end(tree: Tree) -> None:
    with tree.put("endless").open("r+b") as file:
        file.truncate(ENDLESS_BYTES)
    results = probe(tree.host.spec, tree.host.target(tree.folder), loopback_context())
    told = {result.stage: result for result in results}
    assert [r for r in results if r.outcome is StageOutcome.FAILED] == []
    assert told[ConnectionStage.READ].detail == "read from 'endless'"


PARTS = (70_000, 700_000, 9_000_000, 9_999_999, 10_000_000, 10_000_001)


def test_a_partial_file_is_gone_on_with_where_the_host_proves_it(
    tree: Tree, opened: Opened
) -> None:
    content = os.urandom(10_000_000)
    held = {str(have): (content + b"x")[:have] for have in PARTS}
    for name in held:
        tree.put(name, content)
    transport = opened()
    found = listed(transport, tree)
    sink = DigestSink(held=held)
    for answer in transport.fetch(found.values(), sink):
        assert answer.receipt == digest_of(content), answer.error
    written = {receiver.entry.path: receiver.written_bytes for receiver in sink.receivers}
    for name, part in held.items():
        if len(part) < len(content):
            proved = tree.host.proves_from is not None and len(part) >= tree.host.proves_from
            assert written[name] == len(content) - len(part) * proved


def test_no_part_is_joined_to_another_file_of_the_same_size_and_time(
    tree: Tree, opened: Opened
) -> None:
    """What an earlier try left is of a file that was replaced since; nothing that is listed tells."""
    content, before = os.urandom(10_000_000), os.urandom(10_000_000)
    held = {str(have): before[:have] for have in PARTS[:4]}
    held["last byte"] = content[:8_999_999] + bytes([content[8_999_999] ^ 1])
    for name in held:
        tree.put(name, content, modified_s=MODIFIED_S)
    transport = opened()
    found = listed(transport, tree)
    sink = DigestSink(held=held)
    answers = list(transport.fetch(found.values(), sink))
    assert {a.entry.path: a.receipt for a in answers} == dict.fromkeys(held, digest_of(content))
    assert not sink.left_open
    assert all(a.error is None for a in fetched(transport, list(found.values())).values())


def test_a_sink_that_refuses_one_file_gets_the_others(tree: Tree, opened: Opened) -> None:
    for number in range(30):
        tree.put(str(number), b"x" * 100_000)

    def refuse(receiver: DigestReceiver) -> None:
        if receiver.entry.path == "7":
            raise TooLarge

    transport = opened()
    sink = DigestSink(on_write=refuse)
    answers = {a.entry.path: a for a in transport.fetch(listed(transport, tree).values(), sink)}
    assert isinstance(answers.pop("7").error, TooLarge)
    assert len(answers) == 29
    assert all(answer.error is None for answer in answers.values())
    assert not sink.left_open


def test_a_check_that_raises_stops_the_work_in_mid_file(tree: Tree, opened: Opened) -> None:
    tree.put("file", os.urandom(20 * 1024 * 1024))
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    def wait_for_check(receiver: DigestReceiver) -> None:
        if not stop.is_set():
            stop.set()
            threading.Event().wait(0.6)  # longer than between two checks

    transport = opened(loopback_context(check=check))
    found = listed(transport, tree)
    sink = DigestSink(on_write=wait_for_check)
    with pytest.raises(Stopped):
        list(transport.fetch(found.values(), sink))
    assert [receiver.abandoned for receiver in sink.receivers] == [True]


def test_what_a_sink_raises_passes_and_every_receiver_is_abandoned(
    tree: Tree, opened: Opened
) -> None:
    for number in range(30):
        tree.put(str(number), b"x" * 100_000)

    def refuse(receiver: DigestReceiver) -> None:
        raise Stopped

    transport = opened()
    found = listed(transport, tree)
    sink = DigestSink(on_write=refuse)
    with pytest.raises(Stopped):
        list(transport.fetch(found.values(), sink))
    assert sink.receivers
    assert not sink.left_open
    answers = fetched(transport, list(found.values()))  # the transport is still good
    assert all(answer.error is None for answer in answers.values())


def test_entries_are_taken_as_needed_and_a_fetch_left_early_leaves_nothing_open(
    tree: Tree, opened: Opened
) -> None:
    for number in range(400):
        tree.put(str(number), b"x" * 10)
    transport = opened()
    found = listed(transport, tree)
    taken = 0

    def entries() -> Iterator[RemoteEntry]:
        nonlocal taken
        for entry in found.values():
            taken += 1
            yield entry

    sink = DigestSink()
    answers = iter(transport.fetch(entries(), sink))
    next(answers)
    assert taken <= 200
    answers.close()  # type: ignore[attr-defined]
    assert not sink.left_open
    assert all(a.error is None for a in fetched(transport, list(found.values())).values())


def test_a_listing_and_a_fetch_may_take_turns_on_one_transport(tree: Tree, opened: Opened) -> None:
    for number in range(30):
        for inner in range(10):
            tree.put(f"{number}/{inner}", b"%d" % inner)
    transport = opened()

    def entries() -> Iterator[RemoteEntry]:
        for item in transport.walk():
            assert isinstance(item, RemoteEntry)
            yield item

    answers = list(transport.fetch(entries(), DigestSink()))
    assert len(answers) == 300
    assert all(a.receipt == digest_of(a.entry.path.split("/")[1].encode()) for a in answers)


def test_l01_l03_links_are_told_and_never_followed(tree: Tree, opened: Opened) -> None:
    if not tree.host.links:
        pytest.skip("a web server follows its own links and does not tell them apart")
    tree.put("real", b"x")
    (tree.folder / "absolute").symlink_to("/etc/passwd")
    (tree.folder / "root").symlink_to("/")
    (tree.folder / "loop").symlink_to(".")
    (tree.folder / "dangling").symlink_to("nothing")
    items = list(opened().walk())
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["real"]
    skipped = {item.path: item.reason for item in items if isinstance(item, Skipped)}
    if tree.host.bare_facts:
        skipped["dangling"] = Reason.LINK
    assert skipped == dict.fromkeys(("absolute", "root", "loop", "dangling"), Reason.LINK)


def test_l03_a_loop_that_the_host_follows_comes_to_an_end(tree: Tree, opened: Opened) -> None:
    need_metadata(tree)
    if tree.host.links:
        pytest.skip("links are told apart on this host")
    tree.put("folder/file", b"x")
    (tree.folder / "folder" / "loop").symlink_to("..")
    items = list(opened().walk())
    assert sum(isinstance(item, RemoteEntry) for item in items) < 100
    assert any(isinstance(item, Skipped) and item.reason is Reason.LINK for item in items)


def test_l06_a_fifo_is_never_opened(tree: Tree, opened: Opened) -> None:
    if not tree.host.links or tree.host.bare_facts:
        pytest.skip("this host does not tell what is no file")
    os.mkfifo(tree.folder / "fifo")
    (item,) = opened().walk()
    assert isinstance(item, Skipped)
    assert item.reason is Reason.SPECIAL


def test_n07_a_tree_too_deep_fails_there_and_goes_on(
    tree: Tree, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lower limit than the real one: some servers take a fifth of a second for a deep folder."""
    need_metadata(tree)
    monkeypatch.setattr("farends.names.DEPTH_MAX", 40)
    tree.put("shallow", b"x")
    here = os.open(tree.folder, os.O_RDONLY)
    try:
        for _ in range(60):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
    finally:
        os.close(here)
    items = list(opened().walk())
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["shallow"]
    assert any(isinstance(item, Skipped) for item in items)


def test_a_closed_transport_leaves_no_thread_and_no_descriptor(tree: Tree, opened: Opened) -> None:
    tree.put("file", b"x")
    listed(opened(), tree)

    with nothing_left_held():
        for _ in range(5):
            transport = tree.open(loopback_context())
            assert set(listed(transport, tree)) == {"file"}
            transport.close()
            transport.close()


def test_a_check_that_raises_stops_opening(tree: Tree) -> None:
    def check() -> None:
        raise Stopped

    context: Context = loopback_context(check=check)
    with leaving_no_thread():
        try:
            transport = tree.open(context)
        except Stopped:
            pass
        else:
            transport.close()


def test_every_answer_is_a_transport_error_or_a_receipt(tree: Tree, opened: Opened) -> None:
    tree.put("real", b"x")
    tree.put("folder/x", b"")
    transport = opened()
    listed(transport, tree)
    wanted = [RemoteEntry("folder", 10, None), RemoteEntry("real", None, None)]
    answers = fetched(transport, wanted)
    assert isinstance(answers["folder"].error, TransportError)
    assert answers["real"].receipt == digest_of(b"x")

"""SFTP hosts that lie, stall or break off (docs/promises.md: N, L, S)."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import struct
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA

from farends.contract import (
    ROUND_ROWS,
    Fetched,
    Reason,
    Receiver,
    RemoteEntry,
    RoundListing,
    Skipped,
    Transport,
)
from farends.errors import (
    ConnectionLost,
    PermissionRefused,
    ProtocolViolation,
    Stalled,
    TransportError,
    Truncated,
    Unstable,
)
from farends.secure_shell.chunk_pipe import ChunkPipe
from farends.secure_shell.digests import Digester
from farends.secure_shell.paramiko_names import CHANNEL_BYTES_MAX, SshLink
from farends.sftp.client import SftpClient
from farends.sftp.digests import SftpDigests
from farends.sftp.fetch import BYTES_HELD_MAX, BYTES_IN_FLIGHT_MAX, Fetch
from farends.sftp.packets import READ_BYTES_MAX, PacketKind
from farends.sftp.proving import SftpProver
from farends.sftp.transport import SPEC
from farends.sftp.tree import TreeWalk
from tests.hosts.asyncssh_host import AsyncsshHost
from tests.hosts.sinks import DigestSink, digest_of, loopback_context
from tests.scale.rss import rss_growth
from tests.waiting import leaving_no_thread


def entries_of(transport: Transport) -> list[RemoteEntry]:
    return [i for i in transport.walk() if isinstance(i, RemoteEntry)]


def fetch_all(
    host: AsyncsshHost, folder: Path, *, idle_s: float = 20.0
) -> tuple[dict[str, Fetched], DigestSink]:
    sink = DigestSink()
    transport = SPEC.open(host.target(folder), loopback_context(idle_s=idle_s))
    try:
        entries = entries_of(transport)
        answers = {answer.entry.path: answer for answer in transport.fetch(entries, sink)}
    finally:
        transport.close()
        assert not sink.left_open
    return answers, sink


def test_n01_n03_n04_names_that_could_leave_the_folder_are_refused(
    other_sshd: AsyncsshHost, folder: Path
) -> None:
    (folder / "hostile-names").mkdir()
    transport = SPEC.open(other_sshd.target(folder), loopback_context())
    items = list(transport.walk())
    transport.close()
    assert [i.path for i in items if isinstance(i, RemoteEntry)] == ["hostile-names/good"]
    refused = [i for i in items if isinstance(i, Skipped)]
    assert {i.reason for i in refused} == {Reason.UNSAFE_NAME}
    assert len(refused) == 6
    assert all("\0" not in i.path and i.path.count("/") == 1 for i in refused)


def test_entries_without_attributes_are_asked_for(other_sshd: AsyncsshHost, folder: Path) -> None:
    (folder / "bare" / "inner").mkdir(parents=True)
    for number in range(150):
        (folder / "bare" / "inner" / str(number)).write_bytes(b"x" * number)
    (folder / "bare" / "link").symlink_to("/")
    transport = SPEC.open(other_sshd.target(folder), loopback_context())
    items = list(transport.walk())
    transport.close()
    sizes = {i.path: i.size_bytes for i in items if isinstance(i, RemoteEntry)}
    assert sizes == {f"bare/inner/{number}": number for number in range(150)}
    assert [i.path for i in items if isinstance(i, Skipped)] == ["bare/link"]


def test_s05_a_size_that_lies_is_never_a_whole_file(other_sshd: AsyncsshHost, folder: Path) -> None:
    (folder / "overstated").write_bytes(b"x" * 5000)
    (folder / "understated").write_bytes(b"x" * 5000)
    (folder / "honest").write_bytes(b"x" * 5000)
    answers, _ = fetch_all(other_sshd, folder)
    assert isinstance(answers["overstated"].error, Truncated)
    assert isinstance(answers["understated"].error, Unstable)
    assert answers["honest"].receipt == digest_of(b"x" * 5000)


def test_s07_endless_data_is_cut_at_the_listed_size(other_sshd: AsyncsshHost, folder: Path) -> None:
    (folder / "endless").write_bytes(b"")
    answers, sink = fetch_all(other_sshd, folder)
    assert isinstance(answers["endless"].error, Unstable)
    assert [receiver.size_bytes for receiver in sink.receivers] == [100_000]


def test_short_answers_are_asked_for_again(other_sshd: AsyncsshHost, folder: Path) -> None:
    content = os.urandom(100_000)
    (folder / "short").write_bytes(content)
    answers, _ = fetch_all(other_sshd, folder)
    assert answers["short"].receipt == digest_of(content)


def test_a_file_that_refuses_is_its_own_failure(other_sshd: AsyncsshHost, folder: Path) -> None:
    (folder / "denied").write_bytes(b"x")
    (folder / "open").write_bytes(b"x")
    answers, _ = fetch_all(other_sshd, folder)
    assert isinstance(answers["denied"].error, PermissionRefused)
    assert answers["open"].receipt == digest_of(b"x")


def test_a_silent_host_is_stalled_by_the_clock(other_sshd: AsyncsshHost, folder: Path) -> None:
    (folder / "silent").write_bytes(b"x" * 100)
    with pytest.raises(Stalled):
        fetch_all(other_sshd, folder, idle_s=1.0)


class FakePeer:
    """The other end of a codec: answers each packet with what `script` makes of it."""

    def __init__(self, script: Callable[[int, int, bytes], Iterable[bytes]]) -> None:
        self._script = script
        self._answers = bytearray()
        self._asked = bytearray()

    def send(self, data: memoryview) -> int:
        self._asked += data
        while len(self._asked) >= 4:
            (length,) = struct.unpack_from(">I", self._asked)
            if len(self._asked) < 4 + length:
                break
            packet = bytes(self._asked[4 : 4 + length])
            del self._asked[: 4 + length]
            if packet[0] == PacketKind.INIT:
                self._answers += struct.pack(">IBI", 5, PacketKind.VERSION, 3)
                continue
            (request_id,) = struct.unpack_from(">I", packet, 1)
            for answer in self._script(packet[0], request_id, packet[5:]):
                self._answers += answer
        return len(data)

    def receive(self, limit: int) -> bytes | None:
        data = bytes(self._answers[:limit])
        del self._answers[:limit]
        return data or b""

    def close(self) -> None:
        return None


def packet(kind: int, request_id: int, body: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">IBI", length or len(body) + 5, kind, request_id) + body


class NoDigester(Digester):
    """A log-in without a shell."""

    def __init__(self) -> None:
        self.asked = 0

    def prove(self, root: bytes, path: bytes, receiver: Receiver) -> int:
        self.asked += 1
        receiver.rewind()
        return 0


@pytest.mark.parametrize("way", ["right", "of another file", "not known", "refused once"])
def test_check_file_proves_what_an_earlier_try_left(way: str) -> None:
    content = os.urandom(50_000)

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPEN:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.EXTENDED and way == "not known":
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\10" + bytes(8))
        elif kind == PacketKind.EXTENDED and way == "refused once":
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\4" + bytes(8))
        elif kind == PacketKind.EXTENDED:
            asked = b"\0\0\0\21check-file-handle\0\0\0\1h\0\0\0\6sha256"
            assert body.startswith(asked)
            start, length, block = struct.unpack(">QQI", body.removeprefix(asked))
            assert (start, length, block) == (0, 20_000, 0)
            hashed = hashlib.sha256(content[:length]).digest()
            yield packet(PacketKind.EXTENDED_REPLY, request_id, b"\0\0\0\6sha256" + hashed)
        elif kind == PacketKind.READ:
            offset, length = struct.unpack_from(">QI", body, 5)
            data = content[offset : offset + length]
            yield (
                packet(PacketKind.DATA, request_id, struct.pack(">I", len(data)) + data)
                if data
                else packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))
            )
        elif kind == PacketKind.FSTAT:
            yield packet(PacketKind.ATTRS, request_id, struct.pack(">IQ", 1, len(content)))
        else:
            yield packet(PacketKind.STATUS, request_id, bytes(12))

    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    held = content[:20_000] if way != "of another file" else b"x" * 20_000
    sink, digester = DigestSink(held={"file": held}), NoDigester()
    prover = SftpProver(SftpDigests(client), digester)
    entry = RemoteEntry("file", len(content), None)
    (answer,) = Fetch(client, prover, b".", [entry], sink)
    assert answer.receipt == digest_of(content)
    assert sink.receivers[0].written_bytes == (30_000 if way == "right" else 50_000)
    assert digester.asked == (way in ("not known", "refused once"))
    assert client.grace_s == 0


def walk_against(script: Callable[[int, int, bytes], Iterable[bytes]]) -> list[object]:
    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    return list(TreeWalk(client, b"."))


BROKEN = {
    "a packet of 4 GiB": lambda i: packet(PacketKind.HANDLE, i, b"", length=0xFFFFFFFF),
    "a packet of nothing": lambda i: packet(PacketKind.HANDLE, i, b"", length=4),
    "an answer to nothing": lambda i: packet(PacketKind.HANDLE, i + 1000, b"\0\0\0\1h"),
    "a handle longer than its packet": lambda i: packet(PacketKind.HANDLE, i, b"\xff\xff\xff\xffh"),
    "another kind of answer": lambda i: packet(PacketKind.DATA, i, b"\0\0\0\1h"),
    "a status without a code": lambda i: packet(PacketKind.STATUS, i, b""),
    "a status out of range": lambda i: packet(
        PacketKind.STATUS, i, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0"
    ),
    "a handle of nothing": lambda i: packet(PacketKind.HANDLE, i, b""),
    "an answer of a kind that is none": lambda i: packet(250, i, b"\0\0\0\1h"),
    "a packet one byte too long": lambda i: packet(
        PacketKind.HANDLE, i, b"", length=256 * 1024 + 4097
    ),
    "success instead of a handle": lambda i: packet(
        PacketKind.STATUS, i, b"\0\0\0\0\0\0\0\0\0\0\0\0"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_packet_is_a_violation(name: str) -> None:
    with pytest.raises(TransportError) as caught:
        walk_against(lambda kind, request_id, body: [BROKEN[name](request_id)])
    if name != "a status out of range":  # that is a refusal, in a word that nobody knows
        assert isinstance(caught.value, ProtocolViolation)


@pytest.mark.parametrize(
    "names",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0\0",
        b"\0\0\0\1\0\0\0\1a\0\0\0\0\x80\0\0\0\xff\xff\xff\xff",
    ],
    ids=["4 billion names", "one name too few", "4 billion attributes"],
)
def test_a_count_beyond_the_packet_is_a_violation(names: bytes) -> None:
    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPENDIR:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        else:
            yield packet(PacketKind.NAME, request_id, names)

    with pytest.raises(ProtocolViolation):
        walk_against(script)


def test_n14_a_listing_whose_connection_ends_is_lost() -> None:
    with pytest.raises(ConnectionLost):
        walk_against(lambda kind, request_id, body: [])


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100_000])
def test_what_is_no_ssh_fails_in_time_and_leaves_nothing(said: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connected, _ = listener.accept()
        with connected:
            connected.sendall(said)
            if said:
                connected.shutdown(socket.SHUT_WR)
            while connected.recv(65536):
                pass

    server = threading.Thread(target=serve)
    host = AsyncsshHost(listener.getsockname()[1], "SHA256:x")
    with leaving_no_thread():
        server.start()
        with pytest.raises(TransportError) as caught:
            SPEC.open(host.target("."), loopback_context(log_in_s=1.0))
        server.join(5)
    listener.close()
    assert caught.value.stage.value == "connect"


def named(*entries: tuple[bytes, int]) -> bytes:
    """The body of a NAME answer: names and modes."""
    said = struct.pack(">I", len(entries))
    for name, mode in entries:
        said += struct.pack(">I", len(name)) + name + bytes(4) + struct.pack(">IQI", 0x5, 1, mode)
    return said


def endless_folder(make: Callable[[int], list[tuple[bytes, int]]]) -> TreeWalk:
    """A walk of a root whose READDIR never ends."""
    turns = itertools.count()

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPENDIR:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.READDIR:
            yield packet(PacketKind.NAME, request_id, named(*make(next(turns))))
        else:
            yield packet(PacketKind.STATUS, request_id, bytes(12))

    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    return TreeWalk(client, b".")


@pytest.mark.parametrize(
    "name", [b"%d", b"../%d" + b"x" * 900, b"%d" + b"y" * 250], ids=["short", "unsafe", "long"]
)
def test_n19_a_folder_without_end_is_streamed_in_bounded_memory(name: bytes) -> None:
    walk = iter(endless_folder(lambda t: [(name % (t * 100 + n), 0o100644) for n in range(100)]))
    tracemalloc.start()
    for _ in range(20_000):
        next(walk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_n19_folders_without_end_are_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farends.wire.backlog.FOLDERS_MAX", 5_000)
    walk = endless_folder(lambda t: [(b"%d-%d" % (t, n), 0o40755) for n in range(100)])
    with pytest.raises(ProtocolViolation, match="wait to be listed"):
        list(walk)


@pytest.mark.parametrize("mode", [0, 0o170000, 0o177777, 0o20644, 0o60644, 0o10644, 0o140644])
def test_l06_a_mode_that_is_no_file_is_never_opened(mode: int) -> None:
    asked: list[int] = []

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        asked.append(kind)
        if kind == PacketKind.OPENDIR:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.READDIR and asked.count(PacketKind.READDIR) == 1:
            yield packet(PacketKind.NAME, request_id, named((b"odd", mode), (b"plain", 0o100000)))
        else:
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))

    items = walk_against(script)
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["plain"]
    reason = Reason.SPECIAL if mode else Reason.UNREADABLE_ROW  # without a kind it may be any
    assert [item.reason for item in items if isinstance(item, Skipped)] == [reason]
    assert PacketKind.OPEN not in asked


def folder_of(*answers: bytes, lstat: bytes) -> Callable[[int, int, bytes], Iterable[bytes]]:
    """A host whose root has these answers to READDIR, and this one to every LSTAT."""
    left = list(answers)

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPENDIR:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.READDIR and left:
            yield packet(PacketKind.NAME, request_id, left.pop(0))
        elif kind == PacketKind.LSTAT:
            yield packet(PacketKind.ATTRS, request_id, lstat)
        else:
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))

    return script


@pytest.mark.parametrize("mode", [0o644, 0o755, 0])
def test_a_mode_without_a_kind_is_asked_for_and_then_a_row_that_is_not_read(
    mode: int,
) -> None:
    rows = named((b"plain", 0o100644), (b"kindless", mode))
    told = struct.pack(">IQI", 0x5, 7, 0o100600)
    items = walk_against(folder_of(rows, lstat=told))
    assert [(i.path, i.size_bytes) for i in items if isinstance(i, RemoteEntry)] == [
        ("plain", 1),
        ("kindless", 7),
    ]
    items = walk_against(folder_of(rows, lstat=struct.pack(">IQI", 0x5, 7, mode)))
    assert [i.path for i in items if isinstance(i, RemoteEntry)] == ["plain"]
    (row,) = (i for i in items if isinstance(i, Skipped))
    assert (row.path, row.reason) == ("kindless", Reason.UNREADABLE_ROW)
    assert not row.retryable


def test_a_size_beyond_64_bits_is_one_file_s_trouble() -> None:
    rows = struct.pack(">II", 2, 4) + b"huge" + bytes(4)
    rows += struct.pack(">IQI", 0x5, 2**64 - 1, 0o100644)
    rows += struct.pack(">I", 5) + b"plain" + bytes(4) + struct.pack(">IQI", 0x5, 3, 0o100644)
    items = walk_against(folder_of(rows, lstat=struct.pack(">IQI", 0x5, 2**64 - 1, 0o100644)))
    assert items == [RemoteEntry("plain", 3, None), RemoteEntry("huge", None, None)]


@pytest.mark.parametrize("count", sorted({*ROUND_ROWS, 997, 1_001}))
def test_a_folder_that_ends_at_a_round_number_is_told(count: int) -> None:
    """What is refused, linked or asked for once more counts; the folder itself and its parent do not."""
    names = [(b"%d" % n, 0o100644) for n in range(count - 3)]
    odd = [(b"a/b", 0o100644), (b"link", 0o120777), (b"kindless", 0o644)]
    rows = [(b".", 0o40755), (b"..", 0o40755), *names, *odd]
    answers = [named(*rows[at : at + 3_000]) for at in range(0, len(rows), 3_000)]
    items = walk_against(folder_of(*answers, lstat=struct.pack(">IQI", 0x5, 7, 0o100600)))
    told = [item for item in items if isinstance(item, RoundListing)]
    assert told == ([RoundListing("", count)] if count in ROUND_ROWS else [])


@pytest.mark.parametrize(
    ("code", "may_help"), [(4, True), (3, False), (2, False), (8, False), (99, True)]
)
@pytest.mark.parametrize("late", [True, False])
def test_a_folder_that_fails_says_whether_another_look_may_help(
    code: int, late: bool, may_help: bool
) -> None:
    """`late`: the host has told names of it before."""
    asked: list[int] = []

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        asked.append(kind)
        of_inner = b"inner" in body or body.endswith(b"i")
        if kind == PacketKind.OPENDIR and (late or not of_inner):
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1i" if of_inner else b"\0\0\0\1r")
        elif kind == PacketKind.READDIR and not of_inner and asked.count(PacketKind.READDIR) == 1:
            yield packet(
                PacketKind.NAME, request_id, named((b"inner", 0o40755), (b"file", 0o100644))
            )
        elif kind == PacketKind.READDIR and of_inner and asked.count(0) < 1:
            asked.append(0)
            many = ((b"%d" % n, 0o100644) for n in range(1_000))
            yield packet(PacketKind.NAME, request_id, named(*many))
        elif of_inner:
            yield packet(PacketKind.STATUS, request_id, struct.pack(">I", code) + bytes(8))
        else:
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))

    items = walk_against(script)
    (failed,) = (item for item in items if isinstance(item, Skipped))
    assert (failed.path, failed.reason) == ("inner", Reason.UNREADABLE)
    assert failed.retryable is may_help
    assert not any(isinstance(item, RoundListing) for item in items)  # it did not end: it failed


def test_names_cost_no_more_than_their_packets() -> None:
    """A packet names 20,000 files below a long path, and a host answers many at once."""
    row = struct.pack(">I", 1) + b"%c" + bytes(8)
    rows = struct.pack(">I", 20_000) + b"".join(row % (48 + n % 9) for n in range(20_000))
    deep = "/".join(["x" * 250] * 15)
    read: set[str] = set()

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPENDIR:
            path = body[4:].decode()
            yield packet(PacketKind.HANDLE, request_id, struct.pack(">I", len(path)) + body[4:])
        elif kind == PacketKind.READDIR:
            below = body[6:].decode()
            left = deep[len(below) + 1 if below else 0 :].split("/")[0]
            if left and below not in read:
                read.add(below)
                yield packet(PacketKind.NAME, request_id, named((left.encode(), 0o40755)))
            elif left:
                yield packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))
            else:
                yield packet(PacketKind.NAME, request_id, rows)
        else:
            yield packet(PacketKind.ATTRS, request_id, struct.pack(">IQI", 0x5, 7, 0o100600))

    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    walk = iter(TreeWalk(client, b"."))
    tracemalloc.start()
    for _ in range(30_000):
        next(walk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * 1024 * 1024


def test_a_handle_that_would_be_sent_again_and_again_is_short() -> None:
    with pytest.raises(ProtocolViolation):
        walk_against(
            lambda k, i, body: [packet(PacketKind.HANDLE, i, b"\0\0\x13\x88" + bytes(5_000))]
        )


@pytest.mark.parametrize("size_mib", [256, 4096])
def test_a_first_read_that_is_held_back_costs_no_memory(size_mib: int) -> None:
    """All other answers come, and none of them can be written before the first."""
    data = bytes(READ_BYTES_MAX)
    answered = 0

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        nonlocal answered
        if kind == PacketKind.OPEN:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.READ:
            offset, length = struct.unpack_from(">QI", body, 5)
            if offset:
                answered += length
                yield packet(PacketKind.DATA, request_id, struct.pack(">I", length) + data[:length])

    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    entry = RemoteEntry("file", size_mib * 1024 * 1024, None)
    fetch = Fetch(
        client, SftpProver(SftpDigests(client), NoDigester()), b".", [entry], DigestSink()
    )
    tracemalloc.start()
    with pytest.raises(ConnectionLost):  # the peer has nothing to say until the first is asked for
        list(fetch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answered < BYTES_HELD_MAX + 2 * BYTES_IN_FLIGHT_MAX
    assert peak < 64 * 1024 * 1024


def test_what_is_held_never_keeps_its_gap_from_being_asked_for() -> None:
    """Answers to the first file's reads are short by turns, and more is held than may be."""
    size = BYTES_HELD_MAX * 2
    content = os.urandom(1024 * 1024) * (size // 1024 // 1024)
    late: list[bytes] = []

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.OPEN:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == PacketKind.READ:
            offset, length = struct.unpack_from(">QI", body, 5)
            said = content[offset : offset + (length if offset % 3 else max(1, length // 2))]
            answer = packet(PacketKind.DATA, request_id, struct.pack(">I", len(said)) + said)
            if not said:
                answer = packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))
            late.append(answer)
            if len(late) > 200 or offset + length > size - 1024 * 1024:
                yield from reversed(late)
                late.clear()
        elif kind == PacketKind.FSTAT:
            yield packet(PacketKind.ATTRS, request_id, struct.pack(">IQ", 1, size))
        else:
            yield packet(PacketKind.STATUS, request_id, bytes(12))

    class Patient(FakePeer):
        def receive(self, limit: int) -> bytes | None:
            if not self._answers and late:
                self._answers += b"".join(reversed(late))
                late.clear()
            return super().receive(limit)

    client = SftpClient(Patient(script), idle_s=5.0, check=lambda: None)
    client.start()
    entry = RemoteEntry("file", size, None)
    prover = SftpProver(SftpDigests(client), NoDigester())
    (answer,) = Fetch(client, prover, b".", [entry], DigestSink())
    assert answer.receipt == digest_of(content)


@pytest.mark.parametrize("length", [(1 << 30) + 4, 0xFFFFFFF4, 70_012])
def test_an_ssh_packet_is_no_longer_than_one_can_be(length: int) -> None:
    """The length comes before the key is known, and before anything is proved."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = 0

    def serve() -> None:
        nonlocal sent
        connected, _ = listener.accept()
        with connected, contextlib.suppress(OSError):
            connected.sendall(b"SSH-2.0-hostile\r\n" + struct.pack(">I", length))
            while sent < 512 * 1024 * 1024:
                sent += connected.send(bytes(1024 * 1024))

    server = threading.Thread(target=serve)
    server.start()
    host = AsyncsshHost(listener.getsockname()[1], "SHA256:x")
    try:
        with rss_growth() as growth, pytest.raises(TransportError, match="a packet of"):
            SPEC.open(host.target("."), loopback_context(log_in_s=5.0))
    finally:
        server.join(5)
        listener.close()
    assert growth.peak_bytes < 64 * 1024 * 1024


def test_a_packed_packet_does_not_grow_without_end() -> None:
    packs, unpacks = SshLink._compression_info["zlib@openssh.com"]
    few = zlib.compress(bytes(64 * 1024 * 1024))
    assert len(few) < 100_000
    with pytest.raises(paramiko.SSHException):
        unpacks()(few)
    pack, unpack = packs(), unpacks()
    for said in (b"x" * 250_000, os.urandom(250_000), b""):
        assert unpack(pack(said)) == said


@pytest.mark.parametrize("piece_bytes", [1, 250_000])
@pytest.mark.parametrize("stderr", [True, False])
def test_a_host_that_minds_no_window_is_left(piece_bytes: int, stderr: bool) -> None:
    channel = paramiko.Channel(1)
    channel.in_buffer = channel.in_stderr_buffer = pipe = ChunkPipe()
    kind = MSG_CHANNEL_EXTENDED_DATA if stderr else MSG_CHANNEL_DATA
    message = paramiko.Message()
    if stderr:
        message.add_int(1)
    message.add_string(b"x" * piece_bytes)
    pipe.feed(bytes(CHANNEL_BYTES_MAX - piece_bytes))
    tracemalloc.start()
    for _ in range(2):
        SshLink._channel_handler_table[kind](channel, paramiko.Message(message.asbytes()))
    with pytest.raises(paramiko.SSHException):
        SshLink._channel_handler_table[kind](channel, paramiko.Message(message.asbytes()))
    for _ in range(100_000):
        pipe.feed(b"x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    came = 0
    while len(pipe):
        came += len(pipe.read(1 << 20))
    assert came == CHANNEL_BYTES_MAX + piece_bytes + 100_000


@pytest.mark.parametrize(
    "line", [b"hello\r\n", b"x" * 65536, b"\r\n", b"SSH-1.0-old\r\n", b"SSH-2.0-" + b"x" * 9000]
)
def test_s01_a_flood_before_the_key_ends_and_leaves_nothing(line: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connected, _ = listener.accept()
        with connected, contextlib.suppress(OSError):
            while True:
                connected.sendall(line * 100)

    server = threading.Thread(target=serve)
    host = AsyncsshHost(listener.getsockname()[1], "SHA256:x")
    with leaving_no_thread():
        server.start()
        with pytest.raises(TransportError) as caught:
            SPEC.open(host.target("."), loopback_context(log_in_s=1.0))
        server.join(5)
    listener.close()
    assert caught.value.stage.value in ("connect", "identity")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("code", "may_help"), [(4, True), (3, False)])
def test_a_name_that_cannot_be_looked_at_makes_its_folder_worth_another_look(
    code: int, may_help: bool
) -> None:
    kindless = named(*((b"%d" % n, 0o644) for n in range(200)))
    told: set[bytes] = set()

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        handle = b"i" if b"inner" in body or body.endswith(b"i") else b"r"
        if kind == PacketKind.OPENDIR:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1" + handle)
        elif kind == PacketKind.READDIR and handle not in told:
            told.add(handle)
            rows = kindless if handle == b"i" else named((b"inner", 0o40755))
            yield packet(PacketKind.NAME, request_id, rows)
        elif kind == PacketKind.LSTAT:
            yield packet(PacketKind.STATUS, request_id, struct.pack(">I", code) + bytes(8))
        else:
            yield packet(PacketKind.STATUS, request_id, b"\0\0\0\1" + bytes(8))

    items = [item for item in walk_against(script) if isinstance(item, Skipped)]
    if may_help:
        assert [(i.path, i.reason, i.retryable) for i in items] == [
            ("inner", Reason.UNREADABLE, True)
        ]
    else:
        assert len(items) == 200
        assert {i.reason for i in items} == {Reason.UNREADABLE_ROW}


@pytest.mark.parametrize("stops", [True, False])
def test_a_proof_that_the_host_fails_in_is_not_asked_for_again(stops: bool) -> None:
    """Else each attempt would end there. A stop of our own costs nothing of what is here."""

    class Stopped(Exception):
        """What a check raises."""

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == PacketKind.EXTENDED and stops:
            raise Stopped
        if kind == PacketKind.OPEN:
            yield packet(PacketKind.HANDLE, request_id, b"\0\0\0\1h")

    client = SftpClient(FakePeer(script), idle_s=5.0, check=lambda: None)
    client.start()
    sink = DigestSink(held={"file": b"x" * 20_000})
    prover = SftpProver(SftpDigests(client), NoDigester())
    entry = RemoteEntry("file", 50_000, None)
    with pytest.raises(Stopped if stops else ConnectionLost):
        list(Fetch(client, prover, b".", [entry], sink))
    assert sink.receivers[0].offset == (20_000 if stops else 0)
    assert not sink.left_open

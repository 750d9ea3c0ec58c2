"""SFTP hosts that lie, stall or break off (RELIABILITY, N, L and S)."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

import pytest

from connectors.contract import Fetched, Reason, Receiver, RemoteEntry, Skipped, Transport
from connectors.errors import (
    ConnectionLost,
    PermissionRefused,
    ProtocolViolation,
    Stalled,
    TransportError,
    Truncated,
    Unstable,
)
from connectors.transports.sftp import SPEC
from connectors.wire.sftp_client import SftpClient
from connectors.wire.sftp_digests import SftpDigests
from connectors.wire.sftp_fetch import Fetch
from connectors.wire.sftp_packets import Kind
from connectors.wire.sftp_proving import SftpProver
from connectors.wire.sftp_tree import TreeWalk
from connectors.wire.shell_digests import Digester
from tests.hosts.asyncssh_host import AsyncsshHost
from tests.hosts.sinks import DigestSink, digest_of, loopback_context


def entries_of(transport: Transport, folder: Path) -> list[RemoteEntry]:
    return [i for i in transport.walk(PurePosixPath(folder)) if isinstance(i, RemoteEntry)]


def fetch_all(
    host: AsyncsshHost, folder: Path, *, idle_s: float = 20.0
) -> tuple[dict[str, Fetched], DigestSink]:
    sink = DigestSink()
    transport = SPEC.open(host.target(folder), loopback_context(idle_s=idle_s))
    try:
        entries = entries_of(transport, folder)
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
    items = list(transport.walk(PurePosixPath(folder)))
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
    items = list(transport.walk(PurePosixPath(folder)))
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
    transport = SPEC.open(other_sshd.target(folder), loopback_context())
    with transport.open(PurePosixPath("short"), offset=3) as stream:
        assert stream.read() == content[3:]
    transport.close()


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


def test_s08_a_connection_cut_twenty_times_is_resumed_to_the_right_digest(
    other_sshd: AsyncsshHost, folder: Path
) -> None:
    content = os.urandom(4_500_000)
    (folder / "cut").write_bytes(content)
    with pytest.raises(ConnectionLost):
        fetch_all(other_sshd, folder)
    got = bytearray()
    cuts = 0
    while len(got) < len(content):
        transport = SPEC.open(other_sshd.target(folder), loopback_context())
        try:
            with transport.open(PurePosixPath("cut"), offset=len(got)) as stream:
                got += stream.read(225_000)
        except ConnectionLost:
            cuts += 1
        finally:
            transport.close()
        assert cuts < 100
    assert hashlib.sha256(got).digest() == hashlib.sha256(content).digest()


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
            packet = bytes(self._asked[4 : 4 + length])
            del self._asked[: 4 + length]
            if packet[0] == Kind.INIT:
                self._answers += struct.pack(">IBI", 5, Kind.VERSION, 3)
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
def test_i13_10_check_file_proves_what_an_earlier_try_left(way: str) -> None:
    content = os.urandom(50_000)

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        if kind == Kind.OPEN:
            yield packet(Kind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == Kind.EXTENDED and way == "not known":
            yield packet(Kind.STATUS, request_id, b"\0\0\0\10" + bytes(8))
        elif kind == Kind.EXTENDED and way == "refused once":
            yield packet(Kind.STATUS, request_id, b"\0\0\0\4" + bytes(8))
        elif kind == Kind.EXTENDED:
            asked = b"\0\0\0\21check-file-handle\0\0\0\1h\0\0\0\6sha256"
            assert body.startswith(asked)
            start, length, block = struct.unpack(">QQI", body.removeprefix(asked))
            assert (start, length, block) == (0, 20_000, 0)
            hashed = hashlib.sha256(content[:length]).digest()
            yield packet(Kind.EXTENDED_REPLY, request_id, b"\0\0\0\6sha256" + hashed)
        elif kind == Kind.READ:
            offset, length = struct.unpack_from(">QI", body, 5)
            data = content[offset : offset + length]
            yield (
                packet(Kind.DATA, request_id, struct.pack(">I", len(data)) + data)
                if data
                else packet(Kind.STATUS, request_id, b"\0\0\0\1" + bytes(8))
            )
        elif kind == Kind.FSTAT:
            yield packet(Kind.ATTRS, request_id, struct.pack(">IQ", 1, len(content)))
        else:
            yield packet(Kind.STATUS, request_id, bytes(12))

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
    "a packet of 4 GiB": lambda i: packet(Kind.HANDLE, i, b"", length=0xFFFFFFFF),
    "a packet of nothing": lambda i: packet(Kind.HANDLE, i, b"", length=4),
    "an answer to nothing": lambda i: packet(Kind.HANDLE, i + 1000, b"\0\0\0\1h"),
    "a handle longer than its packet": lambda i: packet(Kind.HANDLE, i, b"\xff\xff\xff\xffh"),
    "another kind of answer": lambda i: packet(Kind.DATA, i, b"\0\0\0\1h"),
    "a status without a code": lambda i: packet(Kind.STATUS, i, b""),
    "a status out of range": lambda i: packet(Kind.STATUS, i, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0"),
    "a handle of nothing": lambda i: packet(Kind.HANDLE, i, b""),
    "an answer of a kind that is none": lambda i: packet(250, i, b"\0\0\0\1h"),
    "a packet one byte too long": lambda i: packet(Kind.HANDLE, i, b"", length=256 * 1024 + 4097),
    "success instead of a handle": lambda i: packet(Kind.STATUS, i, b"\0\0\0\0\0\0\0\0\0\0\0\0"),
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
        if kind == Kind.OPENDIR:
            yield packet(Kind.HANDLE, request_id, b"\0\0\0\1h")
        else:
            yield packet(Kind.NAME, request_id, names)

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
    server.start()
    before = threading.active_count()
    host = AsyncsshHost(listener.getsockname()[1], "SHA256:x")
    with pytest.raises(TransportError) as caught:
        SPEC.open(host.target("."), loopback_context(log_in_s=1.0))
    assert caught.value.stage.value == "connect"
    server.join(5)
    listener.close()
    assert threading.active_count() == before - 1


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
        if kind == Kind.OPENDIR:
            yield packet(Kind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == Kind.READDIR:
            yield packet(Kind.NAME, request_id, named(*make(next(turns))))
        else:
            yield packet(Kind.STATUS, request_id, bytes(12))

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
    monkeypatch.setattr("connectors.wire.backlog.FOLDERS_MAX", 5_000)
    walk = endless_folder(lambda t: [(b"%d-%d" % (t, n), 0o40755) for n in range(100)])
    with pytest.raises(ProtocolViolation, match="wait to be listed"):
        list(walk)


@pytest.mark.parametrize("mode", [0, 0o170000, 0o177777, 0o20644, 0o60644, 0o10644, 0o140644])
def test_l06_a_mode_that_is_no_file_is_never_opened(mode: int) -> None:
    asked: list[int] = []

    def script(kind: int, request_id: int, body: bytes) -> Iterable[bytes]:
        asked.append(kind)
        if kind == Kind.OPENDIR:
            yield packet(Kind.HANDLE, request_id, b"\0\0\0\1h")
        elif kind == Kind.READDIR and asked.count(Kind.READDIR) == 1:
            yield packet(Kind.NAME, request_id, named((b"odd", mode), (b"plain", 0o100000)))
        else:
            yield packet(Kind.STATUS, request_id, b"\0\0\0\1" + bytes(8))

    items = walk_against(script)
    assert [item.path for item in items if isinstance(item, RemoteEntry)] == ["plain"]
    assert [item.reason for item in items if isinstance(item, Skipped)] == [Reason.SPECIAL]
    assert Kind.OPEN not in asked


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
    before = threading.active_count()
    server.start()
    host = AsyncsshHost(listener.getsockname()[1], "SHA256:x")
    with pytest.raises(TransportError) as caught:
        SPEC.open(host.target("."), loopback_context(log_in_s=1.0))
    server.join(5)
    listener.close()
    assert caught.value.stage.value in ("connect", "identity")
    assert len(str(caught.value)) < 500
    assert threading.active_count() == before

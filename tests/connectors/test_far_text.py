"""Text of hosts over SFTP, SSH and rsync, made to be costly: reading it takes time by its length alone."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable

import pytest

from farends.errors import TransportError
from farends.secure_shell.commands import _behind
from farends.secure_shell.host_keys import Pin
from farends.secure_shell.splitting import Splitter
from farends.sftp.client import SftpClient
from farends.sftp.packets import Fields
from farends.ssh.records import (
    parse_find_complaint,
    parse_record,
    parse_tar_complaints,
    record_splitter,
    unescape_name,
)
from farends.ssh.tar_header import Header, parse_pax
from farends.ssh.tar_stream import TarStream
from farends.wire.far_text import show
from farends.wire.listed_paths import ListedPaths

MB = 1_000_000
BUDGET_S = 8.0  # of processor time for a megabyte; what is not linear takes minutes


def by_bytes(feed: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Each byte comes alone."""

    def feed_all(data: bytes) -> None:
        for at in range(len(data)):
            feed(data[at : at + 1])

    return feed_all


class Nowhere:
    def begin(self, header: Header) -> None: ...

    def data(self, piece: memoryview) -> None: ...

    def end(self) -> None: ...


class Dripping:
    """The bytes of an SFTP server, one at a time."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._at = 0

    def receive(self, limit: int) -> bytes:
        self._at += 1
        return self._said[self._at - 1 : self._at]

    def send(self, data: memoryview) -> int:
        return len(data)

    def close(self) -> None: ...


def read_packets(data: bytes) -> None:
    packet = struct.pack(">I", 250_000) + b"\x02" + data[:249_999]
    client = SftpClient(Dripping(packet * 4), idle_s=60.0, check=lambda: None)
    client.start()


def read_names(data: bytes) -> None:
    fields = Fields(memoryview(struct.pack(">I", len(data) // 12) + data))
    list(fields.names(fields.count_of_names()))


def find_marker(data: bytes) -> None:
    seen = bytearray()
    by_bytes(lambda one: _behind(seen, one, b"0123456789abcdef0123456789abcdef"))(data[:256_000])


CASES: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "records by bytes": (by_bytes(record_splitter().feed), b"f 1 1.5 a\0" * (MB // 10)),
    "a record by bytes": (by_bytes(Splitter(b"\n", 2 * MB, "").feed), b"x" * MB),
    "records": (record_splitter().feed, bytes(MB)),
    "a size": (parse_record, b"f " + b"9" * MB + b" 1.5 a"),
    "a time": (parse_record, b"f 1 " + b"9" * MB + b".5 a"),
    "a fraction": (parse_record, b"f 1 1." + b"9" * MB + b" a"),
    "blanks": (parse_record, b" " * MB),
    "complaints of find": (parse_find_complaint, b"find: '" + b"': " * (MB // 3)),
    "quotes of find": (parse_find_complaint, b"find: '" + b"'" * MB + b": x"),
    "complaints of tar": (parse_tar_complaints, b"tar: " + b": " * (MB // 2)),
    "escapes": (unescape_name, b"\\" * MB),
    "figures": (unescape_name, b"\\12" * (MB // 3)),
    "a marker": (find_marker, b"0123456789abcdef0123456789abcde" * (MB // 31)),
    "a path": (ListedPaths().text, b"a/" * (MB // 2)),
    "a long name": (ListedPaths().text, b"\xf0" * MB),
    "pax": (parse_pax, b"6 a=b\n" * (MB // 6)),
    "tar by bytes": (by_bytes(TarStream(Nowhere()).feed), bytes(512) + bytes(MB // 2)),
    "packets": (read_packets, b"\xff" * MB),
    "names": (read_names, bytes(MB)),
    "what is shown": (show, b"\x1b\xff" * (MB // 2)),
    "a key": (lambda data: Pin.parse(data.decode()), b"ssh-rsa " * (MB // 8)),
    "blanks of a key": (lambda data: Pin.parse(data.decode()), b" " * MB + b"x"),
    "a fingerprint": (lambda data: Pin.parse(data.decode()), b"SHA256:" + b"=" * MB),
}


@pytest.mark.parametrize("name", CASES)
def test_reading_it_is_linear(name: str) -> None:
    read, data = CASES[name]
    before_s = time.thread_time()
    with contextlib.suppress(TransportError, ValueError):
        read(data)
    assert time.thread_time() - before_s < BUDGET_S

"""Names that a hostile far end may list, made from a seed; those that a disk takes are planted on one.

A name is real where a file system holds it, else it is a lie: servers of the tests add lies to what
they list, read from the file that `write_lies` makes.
"""

from __future__ import annotations

import hashlib
import os
import random
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    "f": stat.S_IFREG,
    "d": stat.S_IFDIR,
    "l": stat.S_IFLNK,
    "p": stat.S_IFIFO,
    "c": stat.S_IFCHR,
    "b": stat.S_IFBLK,
    "s": stat.S_IFSOCK,
}
LIE_BYTES = 5  # the size that every lie tells
LIE_TIME_S = 1_700_000_001


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """One name as listed. `kind` is find's letter."""

    name: bytes
    kind: str
    real: bool


def content_of(name: bytes) -> bytes:
    return hashlib.sha1(name, usedforsecurity=False).digest()


def is_component(name: bytes) -> bool:
    """Whether ext4 holds a file of this name."""
    plain = b"/" not in name and b"\0" not in name
    return plain and name not in (b".", b"..") and 0 < len(name) <= 255


def fuzz(
    seed: int,
    count: int,
    sandbox: Path,
    *,
    carries: Callable[[bytes], bool],
    plants: Callable[[bytes], bool] = lambda name: True,
    kinds: str,
    lies: bool = True,
) -> list[Fuzzed]:
    """`count` names, no two alike. `carries`: the protocol can express it; `plants`: and ask for it;
    `kinds` are those other than files that it tells apart; `lies`: with what no disk holds."""
    rng = random.Random(seed)  # noqa: S311 — must be the same each time
    makers = _makers(rng, os.fsencode(sandbox))
    found: dict[bytes, Fuzzed] = {}
    number = 0
    while len(found) < count:
        number += 1
        name = makers[number % len(makers)](b"%d" % number)
        real = is_component(name) and plants(name)
        if name in found or not carries(name) or not (real or lies):
            continue
        kind = rng.choice(kinds) if kinds and rng.random() < 0.05 else "f"
        if is_component(name) and not real:
            kind = "f"
        found[name] = Fuzzed(name, kind, real)
    return list(found.values())


def _makers(rng: random.Random, sandbox: bytes) -> list[Callable[[bytes], bytes]]:
    def pick(*choices: bytes) -> bytes:
        return rng.choice(choices)

    def some(low: int, high: int, of: bytes) -> bytes:
        return bytes(rng.choice(of) for _ in range(rng.randint(low, high)))

    any_byte, high, control = bytes(range(1, 256)), bytes(range(128, 256)), bytes(range(1, 32))
    legal = any_byte.replace(b"/", b"")
    return [
        lambda n: b"../" * rng.randint(1, 12) + b"up-" + n,
        lambda n: pick(b"a", b"a/b", b".", b"") + b"/../" * rng.randint(1, 9) + b"out-" + n,
        lambda n: pick(sandbox, b"/etc", b"", b"/proc/self/cwd") + b"/fuzzed-" + n,
        lambda n: n + b"\0" + pick(b"", b".txt", b"/../x"),
        lambda n: n + pick(b"\r", b"\n", b"\r\n") + pick(b"", b"DELE x", b"226 done"),
        lambda n: some(1, 3, control) + n + some(1, 3, control + b"\x7f"),
        lambda n: pick(b"", b".", b"..", b"...", b". ", b" ..", b".. /", b"./", b".\t") + n[:-4],
        lambda n: n + b"x" * rng.randint(256, 3_000),
        lambda n: b"/".join([n + b"y" * 200] * 25),
        lambda n: b"d/" * 2_000 + n,
        lambda n: n + some(1, 60, high),
        lambda n: (
            pick(b"CON", b"PRN.", b"aux.txt", b"NUL:", b"C:\\x", b"..\\..\\x", b"x::$DATA") + n
        ),
        lambda n: n + pick(b".", b" ", b"...", b":stream", b"~1", b"\\"),
        lambda n: (
            pick(b"%2e%2e%2f", b"..%2f", b"%252e%252e%252f", b"%00", b"%c0%ae/", b"%zz", b"%") + n
        ),
        lambda n: pick(b"\xc0\xae\xc0\xae\xc0\xaf", b"\xe0\x80\xaf", b"\xf8\x80\x80\x80\xaf") + n,
        lambda n: rng.choice("\u202e\u200b\ufeff\u2066\U000f00ff").encode() + n,
        lambda n: pick(b"$(touch fuzzed-", b"`touch fuzzed-", b"; touch fuzzed-", b"|x&&") + n,
        lambda n: pick(b"-rf", b"--checkpoint-action=exec=x", b"-", b"--", b"-T/x"[:2]) + n,
        lambda n: pick(b"*", b"?[a-z]", b"~root", b"!x", b"'", b'"', b"\\0101", b"{a,b}") + n,
        lambda n: pick(b"@LongLink", b"pax_global_header", b"GNUSparseFile.0", b"end ") + n,
        lambda n: pick(b"=cmd()|x", b"<img src=x onerror=alert(1)>", b"&lt;", b'"><a href="x') + n,
        lambda n: (n + b"z" * 255)[:255],
        lambda n: n + "é日😀".encode() * rng.randint(1, 20),
        lambda n: some(1, 40, legal) + n,
        lambda n: some(1, 200, any_byte) + n,
        lambda n: pick(b" -> ", b"type=dir;", b"total ", b"-rw-r--r-- 1 a b 1 ", b": ") + n,
    ]


def plant(root: Path, names: list[Fuzzed]) -> None:
    """Puts what is real below `root`: files with `content_of` their name, folders with one file."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for each in names:
            if each.real:
                _PLANTERS[each.kind](folder, each.name)
    finally:
        os.close(folder)


def _write(folder: int, name: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
    os.write(fd, content_of(name))
    os.close(fd)


def _make_folder(folder: int, name: bytes) -> None:
    os.mkdir(name, dir_fd=folder)
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    _write(inner, b"inner")
    os.close(inner)


def _make_socket(folder: int, name: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:  # a long name does not fit its address
        place = f"/proc/self/fd/{folder}/.socket"
        listener.bind(place)
        os.rename(b".socket", name, src_dir_fd=folder, dst_dir_fd=folder)


_PLANTERS: dict[str, Callable[[int, bytes], None]] = {
    "f": _write,
    "d": _make_folder,
    "l": lambda folder, name: os.symlink(b"/etc/passwd", name, dir_fd=folder),
    "p": lambda folder, name: os.mkfifo(name, dir_fd=folder),
    "c": lambda folder, name: os.mknod(name, 0o20666, os.makedev(1, 5), dir_fd=folder),
    "b": lambda folder, name: os.mknod(name, 0o60666, os.makedev(7, 99), dir_fd=folder),
    "s": _make_socket,
}


def write_lies(path: Path, names: list[Fuzzed]) -> None:
    lines = (f"{each.kind} {each.name.hex()}\n" for each in names if not each.real)
    path.write_text("".join(lines))


def read_lies(path: Path) -> Iterator[tuple[str, bytes]]:
    for line in path.read_text().splitlines():
        kind, _, name = line.partition(" ")
        yield kind, bytes.fromhex(name)

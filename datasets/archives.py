"""A version, or a folder of one, as a ZIP that is made while it is sent (APPNOTE 6.3.10).

Nothing is kept but the directory at its end, about 100 bytes a file, which goes to disk where it is long. Entries are
read a page at a time, so that no transaction stays open for as long as a client takes. Every byte is proved before it is
sent. Where one is damaged, the archive breaks off before its directory, and no program takes it for whole.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
import time
import unicodedata
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Self, TypedDict

from datasets.models import Entry, Version
from datasets.reading import page_of_entries
from datasets.store import open_store
from farends import names
from store.checked import BLOCK_BYTES, CheckedBlob
from store.errors import StoreError

PAGE = 100
_PLACES_KEPT_S = 600.0  # repacking leaves a pack where it is for longer
_DIRECTORY_IN_MEMORY = 1 << 20
_LEVEL = 1  # a higher one costs much more time of the processor than it saves bytes
_WORTH = 0.95  # what does not become smaller than this share of itself is sent as it is
_LONG_BYTES = 0xF000_0000  # a file of this size may not fit into the 32 bits of a plain ZIP
_MOST_32, _MOST_16 = 0xFFFF_FFFF, 0xFFFF
_STORED, _DEFLATED = 0, 8
_UTF8, _SIZES_BEHIND = 0x800, 0x8
_PLAIN_FILE = 0o100644 << 16
_MADE_ON_UNIX = 3 << 8
_FOR_ZIP, _FOR_ZIP64 = 20, 45
_SENT_AT_ONCE = 64 * 1024
_REFUSED_SIGNS = frozenset('<>:"|?*\\')  # by some systems, in names


class NothingHeld(LookupError):
    """The version holds no file whose path begins so."""


class VersionGone(StoreError):
    """The version was removed while its archive was made."""


class _Limits(TypedDict):
    prefix: str
    last: str
    limit: int


@dataclass(slots=True)
class _Member:
    """A file in the archive. `sizes_behind`: what its bytes come to is told behind them."""

    name: bytes
    method: int
    when: bytes
    offset: int
    sizes_behind: bool
    is_long: bool
    crc: int = 0
    packed_bytes: int = 0
    size_bytes: int = 0


def name_archive(version: Version, prefix: str = "") -> str:
    """What the file of the archive is called."""
    folder = prefix.rstrip("/").replace("/", "-")
    return f"{version.dataset.name}{'-' if folder else ''}{folder} v{version.number}.zip"


def name_member(path: str) -> str:
    """The name of a stored path in an archive: it leads out of no folder, no system refuses it, and it turns no line round.
    Where it had to be changed, digits make it unlike all others."""
    decoded = names.encode(names.from_text(path)).decode("utf-8", "replace")
    name = "/".join(_name_part(part) for part in decoded.split("/"))
    if name == path:
        return name
    digits = hashlib.sha256(path.encode()).hexdigest()[:8]
    folder, slash, last = name.rpartition("/")
    stem, dot, end = last.rpartition(".")
    return f"{folder}{slash}{stem or last}~{digits}{dot if stem else ''}{end if stem else ''}"


def _name_part(part: str) -> str:
    clean = "".join("_" if _is_refused(sign) else sign for sign in part)
    kept = clean.rstrip(". ")
    return kept + "_" * (len(clean) - len(kept))


def _is_refused(sign: str) -> bool:
    if sign.isascii() and sign.isprintable():
        return sign in _REFUSED_SIGNS
    return sign == "\ufffd" or unicodedata.category(sign)[0] == "C"


class Archive:
    """The pieces of the archive. The first is made at once, so that it tells before any byte what cannot be read. It holds
    the files whose stored path begins with `prefix`. Raises NothingHeld, StoreError, OSError. Closing it frees all that
    it holds."""

    def __init__(self, version: Version, prefix: str = "") -> None:
        self._version = version
        self._prefix = prefix
        self._store = open_store(version.dataset.workspace_id)
        self._at = 0
        self._count = 0
        self._pieces = self._make()
        try:
            self._ahead: bytes | None = next(self._pieces)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece, self._ahead = self._ahead, None
        return next(self._pieces) if piece is None else piece

    def close(self) -> None:
        self._ahead = None
        self._pieces.close()  # type: ignore[attr-defined]  # it is a generator

    def _make(self) -> Iterator[bytes]:
        kept: list[bytes] = []
        waiting = 0
        for piece in self._parts():  # small files go out together
            kept.append(piece)
            waiting += len(piece)
            self._at += len(piece)
            if waiting >= _SENT_AT_ONCE:
                yield b"".join(kept)
                kept, waiting = [], 0
        yield b"".join(kept)

    def _parts(self) -> Iterator[bytes]:
        with tempfile.SpooledTemporaryFile(_DIRECTORY_IN_MEMORY) as directory:
            for entry, blob in self._blobs():
                with closing(blob):
                    yield from self._file(entry, blob, directory)
            yield from self._end(directory)

    def _blobs(self) -> Iterator[tuple[Entry, CheckedBlob]]:
        last, seen, is_last = "", 0, False
        while not is_last:
            page = self._page(last)
            is_last = len(page) < PAGE
            places, located_at = self._store.locate(_digests(page)), time.monotonic()
            for entry in page:
                if time.monotonic() - located_at > _PLACES_KEPT_S:
                    places, located_at = self._store.locate(_digests(page)), time.monotonic()
                yield entry, self._store.open_checked(bytes(entry.sha256), places)
            last, seen = page[-1].path if page else "", seen + len(page)
        if self._prefix and not seen:
            raise NothingHeld(self._prefix)
        if not Version.objects.filter(pk=self._version.pk).exists():
            raise VersionGone(f"version {self._version.number} is not held any more")

    def _page(self, last: str) -> list[Entry]:
        """Entries that are current are read quickly, however long the history is. They are those of this version as long as
        the version is current after the reading."""
        limits: _Limits = {"prefix": self._prefix, "last": last, "limit": PAGE}
        if self._version.is_current:
            page = page_of_entries(self._version, **limits)
            if Version.objects.filter(pk=self._version.pk, is_current=True).exists():
                return page
            self._version.is_current = False
        return page_of_entries(self._version, **limits)

    def _file(self, entry: Entry, blob: CheckedBlob, directory: IO[bytes]) -> Iterator[bytes]:
        if blob.size_bytes <= BLOCK_BYTES:
            member = yield from self._short_file(entry, blob.read_block(0))
        else:
            member = yield from self._long_file(entry, blob)
        self._count += 1
        directory.write(_directory_header(member, entry))

    def _short_file(self, entry: Entry, content: bytes) -> Generator[bytes, None, _Member]:
        packed, method = content, _STORED
        if len(squeezed := _squeeze(content)) < len(content) * _WORTH:
            packed, method = squeezed, _DEFLATED
        member = self._begin(entry, method, sizes_behind=False)
        member.crc, member.packed_bytes = zlib.crc32(content), len(packed)
        member.size_bytes = len(content)
        yield _local_header(member, entry)
        yield packed
        return member

    def _long_file(self, entry: Entry, blob: CheckedBlob) -> Generator[bytes, None, _Member]:
        """What nothing makes smaller is deflated all the same, in blocks that are stored: a program that reads the
        archive as it comes finds the end of each file by that."""
        first = blob.read_block(0)
        level = _LEVEL if len(_squeeze(first)) < len(first) * _WORTH else 0
        member = self._begin(entry, _DEFLATED, sizes_behind=True)
        yield _local_header(member, entry)
        squeezing = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        for number in range((blob.size_bytes + BLOCK_BYTES - 1) // BLOCK_BYTES):
            block = blob.read_block(number) if number else first
            member.crc = zlib.crc32(block, member.crc)
            member.size_bytes += len(block)
            packed = squeezing.compress(block)
            member.packed_bytes += len(packed)
            yield packed
        packed = squeezing.flush()
        member.packed_bytes += len(packed)
        yield packed
        form = "<4sLQQ" if member.is_long else "<4sLLL"
        yield struct.pack(form, b"PK\7\x08", member.crc, member.packed_bytes, member.size_bytes)
        return member

    def _begin(self, entry: Entry, method: int, *, sizes_behind: bool) -> _Member:
        return _Member(
            name=name_member(entry.path).encode(),
            method=method,
            when=_dos_time(entry.modified_ns),
            offset=self._at,
            sizes_behind=sizes_behind,
            is_long=sizes_behind and entry.size_bytes >= _LONG_BYTES,
        )

    def _end(self, directory: IO[bytes]) -> Iterator[bytes]:
        start, size = self._at, directory.tell()
        directory.seek(0)
        while piece := directory.read(_SENT_AT_ONCE):
            yield piece
        count = self._count
        if count >= _MOST_16 or start >= _MOST_32 or size >= _MOST_32:
            yield struct.pack(
                "<4sQHHLLQQQQ", b"PK\6\6", 44, _MADE_ON_UNIX | _FOR_ZIP64, _FOR_ZIP64, 0, 0,
                count, count, size, start,
            )  # fmt: skip
            yield struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
        few = min(count, _MOST_16)
        yield struct.pack(
            "<4sHHHHLLH", b"PK\5\6", 0, 0, few, few, min(size, _MOST_32), min(start, _MOST_32), 0
        )


def _digests(page: list[Entry]) -> list[bytes]:
    return [bytes(entry.sha256) for entry in page]


def _squeeze(content: bytes) -> bytes:
    squeezing = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeezing.compress(content) + squeezing.flush()


def _flags(member: _Member) -> int:
    return _UTF8 | (_SIZES_BEHIND if member.sizes_behind else 0)


def _local_header(member: _Member, entry: Entry) -> bytes:
    extra = _unix_time(entry.modified_ns)
    packed, size = member.packed_bytes, member.size_bytes
    if member.is_long:
        extra += struct.pack("<HHQQ", 1, 16, 0, 0)
        packed = size = _MOST_32
    needed = _FOR_ZIP64 if member.is_long else _FOR_ZIP
    return (
        struct.pack("<4sHHH", b"PK\3\4", needed, _flags(member), member.method)
        + member.when
        + struct.pack("<LLLHH", member.crc, packed, size, len(member.name), len(extra))
        + member.name
        + extra
    )


def _directory_header(member: _Member, entry: Entry) -> bytes:
    extra = _unix_time(entry.modified_ns)
    long = b""
    packed, size, offset = member.packed_bytes, member.size_bytes, member.offset
    if member.is_long:
        long += struct.pack("<QQ", size, packed)
        packed = size = _MOST_32
    if offset >= _MOST_32:
        long += struct.pack("<Q", offset)
        offset = _MOST_32
    if long:
        extra += struct.pack("<HH", 1, len(long)) + long
    needed = _FOR_ZIP64 if long else _FOR_ZIP
    return (
        struct.pack(
            "<4sHHHH", b"PK\1\2", _MADE_ON_UNIX | needed, needed, _flags(member), member.method
        )
        + member.when
        + struct.pack("<LLLHHHHHLL", member.crc, packed, size, len(member.name), len(extra), 0, 0, 0, _PLAIN_FILE, offset)
        + member.name
        + extra
    )  # fmt: skip


def _dos_time(modified_ns: int | None) -> bytes:
    """In UTC, for a ZIP names no zone; what a ZIP cannot say is its first day."""
    at = time.gmtime(0)
    if modified_ns is not None and 0 <= modified_ns // 10**9 < 2**32:
        at = time.gmtime(modified_ns // 10**9)
    if not 1980 <= at.tm_year <= 2107:
        return struct.pack("<HH", 0, 1 << 5 | 1)
    date = (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday
    return struct.pack("<HH", at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2, date)


def _unix_time(modified_ns: int | None) -> bytes:
    """The time of change to the second, in UTC, as an extra field; nothing where it does not fit."""
    if modified_ns is None or not 0 <= modified_ns // 10**9 < 2**31:
        return b""
    return struct.pack("<HHBl", 0x5455, 5, 1, modified_ns // 10**9)

"""Brings a folder of plain files to a version, and touches nothing that is right already.

The folder, the version's entries and the paths that earlier versions had there are walked side by side, in the order
of their bytes, so memory stays flat. A file is right where its size and time are the entry's, and the entry is no
newer than what the folder is known to show. Every other file is written beside, under a name that begins with PART,
and renamed: who reads the folder sees the old content or the new one. No link is followed, and no byte of the folder is
ever read. What the dataset never had there stays, and is counted.

A process that dies leaves some files new and some old, and perhaps one PART. The next call rights them, because the
folder is still known to show the version before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from datasets.checkout import opened_folder
from farends import names
from store.blobs import BlobStore
from store.errors import BlobDamaged, BlobMissing
from store.packs import Place

PART = ".syncproject-part-"
T = TypeVar("T")
COARSE_NS = 2_000_000_000  # what the coarsest file systems round a time to
TOLD_MAX = 20  # paths that are named
AT_ONCE = 1_000
_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Errors that concern one path alone: the other files can still be written.
_OF_ONE_PATH = {
    errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL,
    errno.ENOTDIR, errno.ELOOP, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.EPERM,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FollowedFile:
    """A file of the version. `path` in the text form of `farends.names`; `since` is the version that it came with."""

    path: str
    sha256: bytes
    size_bytes: int
    modified_ns: int
    since: int


@dataclass(slots=True)
class Brought:
    """What was done. `put_back`: files that a person had changed, moved or removed; `foreign`: what lies there and
    was never the dataset's; `refused`: paths that could not be written, with the reason."""

    written: int = 0
    removed: int = 0
    put_back: int = 0
    foreign: int = 0
    refused: int = 0
    told_put_back: list[str] = field(default_factory=list)
    told_refused: list[tuple[str, str]] = field(default_factory=list)

    def note_put_back(self, path: str) -> None:
        self.put_back += 1
        if len(self.told_put_back) < TOLD_MAX:
            self.told_put_back.append(path)

    def note_refused(self, path: str, reason: str) -> None:
        self.refused += 1
        if len(self.told_refused) < TOLD_MAX:
            self.told_refused.append((path, reason))


@dataclass(slots=True)
class TreeBringing:
    """One bringing of the folder that is open as `root`.

    `shown` is the version that the folder is known to show, None where it is new; `is_coarse` says that its file
    system rounds times.
    """

    root: int
    store: BlobStore
    shown: int | None
    is_coarse: bool = False
    check: Callable[[], None] = lambda: None  # asked before each file; what it raises ends the work
    brought: Brought = field(default_factory=Brought)
    _late: list[FollowedFile] = field(default_factory=list)  # a folder is in their way
    _number: int = 0

    def run(self, held: Iterable[FollowedFile], gone: Iterable[str]) -> Brought:
        """`gone` are paths that versions after `shown`, or `shown` itself, had and this one has not. Both come in the
        order of their bytes. Raises OSError, StoreError, and what `check` raises."""
        there = _Peek(_walk(self.root, ""))
        former = _Peek(iter(gone))
        for file, places in self._located(held):
            self.check()
            self._pass_by(there, former, before=file.path)
            found = there.next if there.next is not None and there.next.path == file.path else None
            if found is not None:
                there.step()
            self._bring(file, found, places)
        self._pass_by(there, former, before=None)
        for file in self._late:
            self.check()
            self._clear_way(file.path)
            self._write(file, self.store.locate([file.sha256]), is_last=True)
        return self.brought

    def _located(
        self, held: Iterable[FollowedFile]
    ) -> Iterator[tuple[FollowedFile, Mapping[bytes, Place]]]:
        """Each file, with the places of what its batch may have to write."""
        remaining = iter(held)
        while batch := list(islice(remaining, AT_ONCE)):
            places: Mapping[bytes, Place] | None = None
            for file in batch:
                if places is None and not self._is_old(file):
                    places = self.store.locate([each.sha256 for each in batch])
                yield file, places or {}

    def _is_old(self, file: FollowedFile) -> bool:
        return self.shown is not None and file.since <= self.shown

    def _pass_by(self, there: _Peek[_Found], former: _Peek[str], *, before: str | None) -> None:
        """Removes what the dataset had before this path, and counts what it never had."""
        while there.next is not None and (before is None or there.next.path < before):
            found = there.next
            while former.next is not None and former.next < found.path:
                former.step()
            if former.next == found.path:
                self.check()
                self._remove(found.path)
                self.brought.removed += 1
            elif found.is_part:
                self._remove(found.path)
            else:
                self.brought.foreign += 1
            there.step()

    def _bring(
        self, file: FollowedFile, found: _Found | None, places: Mapping[bytes, Place]
    ) -> None:
        is_old = self._is_old(file)
        if is_old and found is not None and self._is_right(file, found):
            return
        if self._write(file, places or self.store.locate([file.sha256])) and is_old:
            self.brought.note_put_back(file.path)

    def _is_right(self, file: FollowedFile, found: _Found) -> bool:
        if not found.is_file or found.size_bytes != file.size_bytes:
            return False
        if self.is_coarse:
            return abs(found.modified_ns - file.modified_ns) <= COARSE_NS
        return found.modified_ns == file.modified_ns

    def _write(
        self, file: FollowedFile, places: Mapping[bytes, Place], *, is_last: bool = False
    ) -> bool:
        try:
            self._write_beside(file, places)
        except (BlobDamaged, BlobMissing) as exc:
            self.brought.note_refused(file.path, str(exc))
            return False
        except OSError as exc:
            if exc.errno not in _OF_ONE_PATH:
                raise
            if isinstance(exc, IsADirectoryError) and not is_last:
                self._late.append(file)
                return False
            self.brought.note_refused(file.path, _explain(exc))
            return False
        self.brought.written += 1
        return True

    def _write_beside(self, file: FollowedFile, places: Mapping[bytes, Place]) -> None:
        with ExitStack() as opened:
            folder, name = self._enter(file.path, opened, make=True)
            self._number += 1
            part = f"{PART}{os.getpid()}-{self._number}"
            fd = os.open(part, _FILE, 0o644, dir_fd=folder)
            try:
                with open(fd, "wb") as target:  # noqa: PTH123 — it is open
                    self.store.copy_to(file.sha256, target, places)
                    target.flush()
                    os.fchmod(fd, 0o644)
                    os.utime(fd, ns=(file.modified_ns, file.modified_ns))
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise

    def _enter(self, path: str, opened: ExitStack, *, make: bool) -> tuple[int, str]:
        """The open folder of a path, and the name in it. A link in the place of a folder is no folder of ours: it
        goes, and a folder comes."""
        *folders, name = names.from_text(path).split("/")
        if name in ("", ".", "..") or any(each in ("", ".", "..") for each in folders):
            raise OSError(errno.EINVAL, "the path would leave the folder")
        folder = self.root
        for each in folders:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(each, 0o755, dir_fd=folder)
            try:
                inner = opened.enter_context(opened_folder(each, os.O_NOFOLLOW, folder))
            except OSError:
                if not (make and _is_link(each, folder)):
                    raise
                os.unlink(each, dir_fd=folder)
                os.mkdir(each, 0o755, dir_fd=folder)
                inner = opened.enter_context(opened_folder(each, os.O_NOFOLLOW, folder))
            folder = inner
        return folder, name

    def _remove(self, path: str) -> None:
        """Removes a file or a link, and the folders that are empty then."""
        with ExitStack() as opened, suppress(FileNotFoundError, NotADirectoryError):
            folder, name = self._enter(path, opened, make=False)
            os.unlink(name, dir_fd=folder)
        self._remove_empty(path.rpartition("/")[0])

    def _remove_empty(self, path: str) -> None:
        while path:
            try:
                with ExitStack() as opened:
                    folder, name = self._enter(path, opened, make=False)
                    os.rmdir(name, dir_fd=folder)
            except OSError:
                return
            path = path.rpartition("/")[0]

    def _clear_way(self, path: str) -> None:
        """Removes empty folders that stand where a file is to be."""
        with ExitStack() as opened, suppress(OSError):
            folder, name = self._enter(path, opened, make=False)
            _remove_empty_below(name, folder)


@dataclass(frozen=True, slots=True)
class _Found:
    """What lies at a path; its time and size are of the thing itself, never of what a link leads to."""

    path: str
    is_file: bool
    is_part: bool
    size_bytes: int
    modified_ns: int


def _walk(folder: int, prefix: str) -> Iterator[_Found]:
    """Everything below an open folder that is no folder, by path, bytewise in the text form."""
    listed = []
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            text = names.to_text(entry.name)
            listed.append((f"{text}/" if is_folder else text, entry.name, is_folder))
    listed.sort()
    for text, name, is_folder in listed:
        if is_folder:
            try:
                with opened_folder(name, os.O_NOFOLLOW, folder) as inner:
                    yield from _walk(inner, f"{prefix}{text}")
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                    raise
            continue
        try:
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield _Found(
            f"{prefix}{text}",
            stat.S_ISREG(seen.st_mode),
            name.startswith(PART),
            seen.st_size,
            seen.st_mtime_ns,
        )


class _Peek(Generic[T]):
    """An iterator whose next item can be looked at."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self.next = next(items, None)

    def step(self) -> None:
        self.next = next(self._items, None)


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _remove_empty_below(name: str, folder: int) -> None:
    """Removes a folder that holds nothing but such folders. Raises OSError for any other."""
    with opened_folder(name, os.O_NOFOLLOW, folder) as inner:
        for each in os.listdir(inner):  # noqa: PTH208 — of an open folder
            _remove_empty_below(each, inner)
    os.rmdir(name, dir_fd=folder)


def _explain(exc: OSError) -> str:
    if exc.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return "a folder with other files stands there"
    if exc.errno == errno.ENOTDIR:
        return "a file stands where a folder is to be"
    return exc.strerror or str(exc)

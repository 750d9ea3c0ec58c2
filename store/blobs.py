"""Content-addressed blobs on local disk: bytes first, name last.

Layout, below the store's root:

    SENTINEL                          this is a store, and which; see `store.sentinel`
    <workspace>/blobs/ab/abcdef…      one immutable file per SHA-256, mode 0644
    <workspace>/packs/<id>.pack       many small blobs in one immutable file; an index tells where
    <workspace>/sums/ab/abcdef…       what the blocks of a large blob must be; see `store.checked`
    <workspace>/partial/<attempt>-<key>-<n>
                                      bytes that are still arriving, named by the attempt that writes them
                                      and by their file, so that a later attempt can resume them

Invariants, at every instant: a file below `blobs/` is complete, and its name is the digest of its content. The same
holds for each blob that the index names in a pack. (The order is: temporary file, write, sync to disk, rename, sync
the folder, index.) No part of a remote name becomes a path. Each workspace has its own blobs, so that nobody learns
from timing or size what another workspace holds.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

from store import flushing
from store.checked import (
    UNREADABLE,
    WHOLE_BYTES,
    CheckedBlob,
    Damage,
    Sums,
    hash_file,
    measure_sums,
    read_sums,
    write_sums,
)
from store.errors import (
    BlobDamaged,
    BlobMissing,
    BlobUnreadable,
    DiskFull,
    QuotaExceeded,
    StoreError,
    StoreReadOnly,
)
from store.packs import (
    Place,
    PlaceIndex,
    find_differing,
    read_packed,
    write_pack,
)
from store.partials import COPY_BYTES, UNKNOWN, BlobWriter, Received, disk_errors
from store.room import measure_room, show_size
from store.sentinel import need_store


class BlobStore:
    """The blobs of one workspace."""

    def __init__(
        self,
        root: Path,
        workspace: uuid.UUID,
        index: PlaceIndex,
        find_known: Callable[[], uuid.UUID | None] = lambda: None,
    ) -> None:
        """`find_known` returns the id that the store must have, or None for any; it is called once."""
        self._root = root
        self._find_known = cache(find_known)
        self.index = index
        self.blobs_folder = root / str(workspace) / "blobs"
        self._packs = root / str(workspace) / "packs"
        self.sums_folder = root / str(workspace) / "sums"
        self.partial_folder = root / str(workspace) / "partial"
        self._name = f"{uuid.uuid4().hex[:12]}."
        self._count = itertools.count()
        self._left: dict[str, list[Path]] = {}  # by key, what attempts before this one left
        self._min_free_bytes = 0
        self._allowed_bytes: int | None = None

    def keep_free(self, min_free_bytes: int) -> None:
        """Makes storing raise DiskFull when less than this is free, or less than the share of `store.room`."""
        self._min_free_bytes = min_free_bytes

    def allow(self, size_bytes: int) -> None:
        """Allows this many bytes of new blobs; a write beyond them raises QuotaExceeded."""
        self._allowed_bytes = size_bytes

    def need(self) -> None:
        """Raises StoreMissing if the root is no store, StoreForeign if it is another store, StoreBroken."""
        need_store(self._root, self._find_known())

    def prepare(self) -> None:
        """Checks that the store is there and can be written. Raises what `need` does, StoreReadOnly, DiskFull, StoreBroken."""
        self.need()
        if not os.access(
            self._root, os.W_OK | os.X_OK
        ):  # of a disk, too, that is mounted read-only
            raise StoreReadOnly(
                f"{self._root} cannot be written to: is its disk mounted read-only?"
            )
        with disk_errors():
            self.partial_folder.mkdir(parents=True, exist_ok=True)
            if not self._packs.is_dir():
                self._packs.mkdir(exist_ok=True)
                flushing.flush(str(self._packs.parent))
            if not (self.blobs_folder / "ff").is_dir():
                for number in range(256):
                    (self.blobs_folder / f"{number:02x}").mkdir(parents=True, exist_ok=True)
                flushing.flush(str(self.blobs_folder))
            self._left.clear()
            for path in self.partial_folder.glob("*-*-*"):
                key = path.name.split("-")[1]
                if key != UNKNOWN:
                    self._left.setdefault(key, []).append(path)

    def create(self, attempt: str, key: str = UNKNOWN) -> BlobWriter:
        """A writer with a partial file of its own; `attempt` and `key` are names without `-` or `/`.

        A key other than UNKNOWN stands for one file at one fingerprint. The writer begins with the bytes that an
        earlier attempt left under this key. They may belong to other content, so the caller must prove them.
        """
        writer = BlobWriter(self._partial_path(attempt, key), self.need_room)
        for left in self._left.pop(key, ()):
            try:
                if writer.size_bytes == 0:
                    writer.take_over(left)
            except (
                StoreError
            ):  # no room for both: starting again is better than a disk that stays full
                writer.rewind()
            left.unlink(missing_ok=True)
        return writer

    def commit(
        self,
        attempt: str,
        received: Iterable[Received],
        *,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Makes files blobs: small ones as one pack, the others by one sync to disk, then the renames,
        then their folders.

        On return each is durable and whole, and the store was still the right one: raises what `need` does.
        A blob that exists already, and holds what has come, is kept and its age refreshed, so that a sweep
        does not take it from under the version that is about to name it. One that holds anything else is
        damaged: what has come takes its place. `moved` is told that a long look goes on.
        """
        self.need_room()
        small: dict[bytes, Received] = {}
        large: list[Received] = []
        for item in received:
            if item.partial is None:
                small[item.sha256] = item
            else:
                large.append(item)
        if small:
            self._commit_small(attempt, small)
        if large:
            self._commit_large(large, moved)
        self.index.unmark([*small, *(item.sha256 for item in large)])

    def _commit_small(self, attempt: str, small: dict[bytes, Received]) -> None:
        known = self.index.refresh(list(small))
        with disk_errors():
            here = (small[sha256] for sha256 in known)
            damaged = find_differing(self._pack_path, known, here) if known else set()
        new = [item for sha256, item in small.items() if sha256 not in known or sha256 in damaged]
        if not new:
            return
        self._take(sum(item.size_bytes for item in new if item.sha256 not in damaged))
        places = self.add_pack(attempt, new)
        if damaged:
            self.index.replace({sha256: places.pop(sha256) for sha256 in damaged})
        if places:
            self.index.add(places)

    def add_pack(self, attempt: str, items: Iterable[Received]) -> dict[bytes, Place]:
        """Writes a new durable pack that the index does not know yet. Raises DiskFull, StoreBroken, and what `need`
        raises: the index must not name a blob that lies on another disk."""
        pack = uuid.uuid4()
        with disk_errors():
            partial = self._partial_path(attempt, UNKNOWN)
            places = write_pack(partial, pack, items)
            os.rename(partial, self._pack_path(pack))  # noqa: PTH104 — paths are text here
            flushing.flush(str(self._packs))
        self.need()
        return places

    def remove_pack(self, pack: uuid.UUID) -> None:
        """Removes a pack that the index has never known."""
        with disk_errors():
            Path(self._pack_path(pack)).unlink(missing_ok=True)

    def find_packs(self) -> dict[uuid.UUID, Path]:
        """The packs that lie here, whether or not the index knows of them."""
        return {uuid.UUID(path.stem): path for path in self._packs.glob("*.pack")}

    def _commit_large(self, large: list[Received], moved: Callable[[], None]) -> None:
        new: dict[str, str] = {}  # the partial file by the blob's path
        known: list[tuple[str, Received]] = []
        folders = set()
        size_bytes = 0
        # Until it is young again, a blob that is there may be about to be swept.
        with disk_errors(), self.index.storing():
            for item in large:
                path = self._path(item.sha256)
                folders.add(path.rpartition("/")[0])  # also of a blob that another is just naming
                if path in new or item.partial is None:
                    item.discard()
                elif _refresh(path):
                    known.append((path, item))
                else:
                    new[path] = item.partial
                    size_bytes += item.size_bytes
        self._take(size_bytes)
        with disk_errors():
            for path, item in known:
                if path in new or item.partial is None or _hold_the_same(path, item.partial, moved):
                    item.discard()
                else:
                    new[path] = item.partial
            flushing.flush_all(new.values())
            for path, partial in new.items():
                os.rename(partial, path)  # noqa: PTH104 — paths are text here
            flushing.flush_all(folders)
        self.need()

    def need_room(self) -> None:
        """Raises DiskFull where less is free than `keep_free` asks for, StoreBroken."""
        with disk_errors():
            room = measure_room(self._root, min_free_bytes=self._min_free_bytes)
        if room.is_short:
            raise DiskFull(f"too little room is left on the store's disk: {room}")

    def _take(self, size_bytes: int) -> None:
        """Raises QuotaExceeded."""
        if self._allowed_bytes is None:
            return
        self._allowed_bytes -= size_bytes
        if self._allowed_bytes < 0:
            over = show_size(-self._allowed_bytes)
            raise QuotaExceeded(
                f"what came is {over} more than the workspace may hold (max_store_bytes)"
            )

    def _partial_path(self, attempt: str, key: str) -> str:
        return f"{self.partial_folder}/{attempt}-{key}-{self._name}{next(self._count)}"

    def _pack_path(self, pack: uuid.UUID) -> str:
        return f"{self._packs}/{pack.hex}.pack"

    def path(self, sha256: bytes) -> Path:
        return Path(self._path(sha256))

    def _path(self, sha256: bytes) -> str:
        digest = sha256.hex()
        return f"{self.blobs_folder}/{digest[:2]}/{digest}"

    def locate(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        """Places of those that are packed; `open` takes them, so that many cost one query."""
        return self.index.find(digests)

    def open(self, sha256: bytes, places: Mapping[bytes, Place] | None = None) -> BinaryIO:
        """The blob's bytes; with `places` nothing is asked of the index. Raises BlobMissing."""
        if places is None:
            places = self.locate([sha256])
        if (place := places.get(sha256)) is not None:
            return io.BytesIO(read_packed(self._pack_path(place.pack), place))
        try:
            return self.path(sha256).open("rb")
        except FileNotFoundError:
            raise BlobMissing(f"blob {sha256.hex()} is missing") from None

    def open_checked(
        self, sha256: bytes, places: Mapping[bytes, Place] | None = None
    ) -> CheckedBlob:
        """Opens a blob that gives out no wrong byte. The first opening of a large blob reads all of it.

        Raises BlobMissing, BlobDamaged (both are noted, so that the next sync repairs the blob), StoreAway, OSError."""
        with self.noting(sha256), ExitStack() as opened:
            file = opened.enter_context(self.open(sha256, places))
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            if size_bytes <= WHOLE_BYTES:
                content = file.read()
                if hashlib.sha256(content).digest() != sha256:
                    raise BlobDamaged("its bytes have another digest")
                return CheckedBlob(io.BytesIO(content), size_bytes)
            sums = self._sums_of(sha256, file)
            if sums.size_bytes != size_bytes:
                raise BlobDamaged(f"it has {size_bytes} bytes of {sums.size_bytes}")
            opened.pop_all()
            return CheckedBlob(file, size_bytes, sums, lambda: self.noting(sha256))

    def _sums_of(self, sha256: bytes, file: BinaryIO) -> Sums:
        """Raises BlobDamaged, OSError."""
        path = f"{self.sums_folder}/{sha256.hex()[:2]}/{sha256.hex()}"
        sums = read_sums(path, sha256)
        if sums is None:
            digest, sums = measure_sums(file)
            if digest != sha256:
                raise BlobDamaged("its bytes have another digest")
            write_sums(path, self._partial_path("sums", UNKNOWN), sha256, sums)
        return sums

    @contextmanager
    def noting(self, sha256: bytes) -> Iterator[None]:
        """Notes damage of this blob that the block finds: the next sync that lists its file fetches it again. Raises
        BlobMissing, BlobDamaged, and StoreAway where the store is gone rather than the blob."""
        try:
            yield
        except BlobMissing:
            self.need()
            self.index.mark(sha256, Damage.MISSING)
            raise
        except BlobDamaged:
            self.need()
            self.index.mark(sha256, Damage.CORRUPT)
            raise
        except OSError as exc:
            if exc.errno not in UNREADABLE:
                raise
            self.need()
            self.index.mark(sha256, Damage.UNREADABLE)
            raise BlobUnreadable(f"its disk cannot read it: {exc.strerror}") from exc

    def copy_to(
        self, sha256: bytes, target: BinaryIO, places: Mapping[bytes, Place] | None = None
    ) -> None:
        """Writes a copy of the blob: whoever edits the copy must not change the blob.

        Raises as `open_checked` does; then the target does not hold the blob's content."""
        digest = hashlib.sha256()
        with self.noting(sha256):
            source = self.open(sha256, places)
        with source:
            while True:
                with self.noting(sha256):
                    piece = source.read(COPY_BYTES)
                    if not piece and digest.digest() != sha256:
                        raise BlobDamaged("its bytes have another digest")
                if not piece:
                    return
                digest.update(piece)
                target.write(piece)

    def prove(
        self,
        sha256: bytes,
        places: Mapping[bytes, Place] | None = None,
        *,
        advance: Callable[[int], None] = lambda size_bytes: None,
    ) -> None:
        """Reads the whole blob again; with `places` nothing is asked of the index; `advance` is told how many
        bytes were read. Raises as `open_checked` does."""
        with self.noting(sha256), self.open(sha256, places) as source:
            if hash_file(source, advance) != sha256:
                raise BlobDamaged("its bytes have another digest")

    def unmark(self, digests: Sequence[bytes]) -> None:
        """Notes that these blobs, damaged before, are whole."""
        self.index.unmark(digests)

    def verify(self, sha256: bytes, places: Mapping[bytes, Place] | None = None) -> bool:
        """Returns whether `prove` succeeds; False for a damaged blob. Raises BlobMissing, StoreAway, OSError."""
        try:
            self.prove(sha256, places)
        except BlobDamaged:
            return False
        return True

    def close_attempt(self, attempt: str, *, keep: bool) -> None:
        """Removes the partial files of one attempt; with `keep`, large ones stay for the next attempt."""
        for path in self.partial_folder.glob(f"{attempt}-*"):
            if not keep or f"-{UNKNOWN}-" in path.name:
                path.unlink(missing_ok=True)


def _hold_the_same(path: str, partial: str, moved: Callable[[], None]) -> bool:
    """Whether a blob holds what the partial file does. Both are read in pieces: to compare costs less than to
    hash. What the disk cannot read is not the same."""
    with Path(partial).open("rb", buffering=0) as here, Path(path).open("rb", buffering=0) as there:
        if os.fstat(here.fileno()).st_size != os.fstat(there.fileno()).st_size:
            return False
        while piece := here.read(COPY_BYTES):
            moved()
            try:
                if there.read(COPY_BYTES) != piece:
                    return False
            except OSError as exc:
                if exc.errno not in UNREADABLE:
                    raise
                return False
    return True


def _refresh(path: str) -> bool:
    """Sets the age of a blob to zero; False if there is no such blob."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True

"""A dataset in dictionaries: what `datasets.catalog` and `datasets.receipts` answer, said once more in Python.

`test_catalogs` holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from datasets.catalog import Counts, Listed, Pair, ToldDigest, Trust, TypeConflict
from datasets.receipts import Arrived

TRUSTING = Trust()


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the current version."""

    path: str
    size_bytes: int
    modified_ns: int | None
    etag: str | None
    sha256: bytes
    settled: bool

    @property
    def listed(self) -> Listed:
        return Listed(self.path, self.size_bytes, self.modified_ns, self.etag)


@dataclass(slots=True)
class Dataset:
    entries: dict[str, Held] = field(default_factory=dict)
    receipts: dict[str, tuple[str, Arrived]] = field(default_factory=dict)  # with their record
    damaged: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Change:
    path: str
    action: str
    listed: Listed | None
    held: Held | None


class DictionaryReceipts:
    def __init__(self, dataset: Dataset, record: str) -> None:
        self._dataset = dataset
        self._record = record

    def settle(self, arrived: Sequence[Arrived]) -> None:
        for item in arrived:
            self._dataset.receipts[item.listed.path] = (self._record, item)


class DictionaryCatalog:
    def __init__(
        self, dataset: Dataset, record: str, *, full: bool = False, trust: Trust = TRUSTING
    ) -> None:
        self._dataset = dataset
        self._record = record
        self._full = full
        self._pairwise = full or not trust.listing
        self._receipts = trust.receipts and not full
        self._times = trust.times
        self._listing: list[Listed] = []
        self._changes: dict[str, _Change] = {}
        self._told: dict[str, ToldDigest] = {}
        self._folders: set[str] = set()

    def stage(self, files: Iterable[Listed]) -> None:
        self._listing += files

    def defer_unmarked(self) -> Iterator[tuple[str, str]]:
        markers = {file.path for file in self._listing if file.marker}
        for number, file in enumerate(self._listing):
            if not file.deferred and file.needs is not None and file.needs not in markers:
                self._listing[number] = replace(file, deferred=True)
                yield file.path, file.needs

    def compare(self, is_equal: Callable[[Pair], bool | None]) -> None:
        listed = {file.path: file for file in reversed(self._listing) if not file.marker}
        held = self._dataset.entries
        for path in sorted(listed.keys() | held.keys()):
            change = self._change(path, listed.get(path), held.get(path))
            if change is not None:
                self._changes[path] = change
        for file in self._listing:
            self._folders.update(_above(file.path))
        actions = {True: "same", False: "changed", None: "ask"}
        for change in self._changes.values():
            if change.action == "compare" and change.listed and change.held:
                if self._full:
                    change.action = "changed"
                else:
                    pair = Pair(_plain(change.listed), change.held.listed, change.held.settled)
                    change.action = actions[is_equal(pair)]

    def _change(self, path: str, listed: Listed | None, held: Held | None) -> _Change | None:
        """None where the file is plainly the same."""
        if listed is not None and listed.deferred:
            return _Change(path, "deferred", listed, held)
        if held is None:
            return _Change(path, "added", listed, held)
        if listed is None:
            return _Change(path, "removed", listed, held)
        if held.sha256 in self._dataset.damaged:
            return _Change(path, "changed", listed, held)
        proves = held.etag is not None or held.modified_ns is not None
        same = held.settled and _plain(listed) == held.listed and proves
        return None if same and not self._pairwise else _Change(path, "compare", listed, held)

    def keep(self, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        for change in self._of("removed"):
            for name in paths:
                if change.path == name or change.path.startswith(f"{name}/"):
                    change.action = "kept"
                    yield change.path, name
                    break

    def keep_beside(self, paths: Sequence[str]) -> Iterator[str]:
        folders = {_folder(c.path) for c in self._of("added") if c.path in set(paths)}
        for change in self._of("removed"):
            if _folder(change.path) in folders:
                change.action = "kept"
                yield change.path

    def count_gone_from(self, folder: str) -> int:
        prefix = f"{folder}/" if folder else ""
        names = (
            prefix + change.path.removeprefix(prefix).split("/")[0]
            for change in self._of("removed")
            if change.path.startswith(prefix)
        )
        return sum(name not in self._folders for name in names)

    def defer_conflicts(self, *, removals: bool) -> Iterator[TypeConflict]:
        kept = {change.path for change in self._changes.values() if _stays(change, removals)}
        above_kept = {folder for path in kept for folder in _above(path)}
        listed = {file.path for file in self._listing if not file.marker}
        conflicts = (listed | kept) & self._folders
        conflicts |= {change.path for change in self._of("added")} & above_kept
        for change in self._changes.values():
            if change.path in conflicts or conflicts.intersection(_above(change.path)):
                gone = change.action in ("removed", "kept")
                change.action = "kept" if gone else "deferred"
        known = {file.path for file in self._listing} | self._changes.keys()
        for path in sorted(conflicts):
            yield TypeConflict(path, min(other for other in known if other.startswith(f"{path}/")))

    def iter_asked(self) -> Iterator[Listed]:
        for change in self._of("ask"):
            if change.listed is not None:
                yield _plain(change.listed)

    def take_told(self, told: Sequence[ToldDigest]) -> None:
        for item in told:
            change = self._changes[item.path]
            held = change.held
            same = held is not None and item.sha256 == held.sha256
            change.action = "same" if same else "changed"
            self._told[item.path] = item

    def iter_wanted(self) -> Iterator[Listed]:
        for change in self._of("added", "changed"):
            if change.listed is not None and self._arrived(change) is None:
                told = self._told.get(change.path)
                sha256 = None if told is None else told.sha256
                yield replace(_plain(change.listed), told_sha256=sha256)

    def count(self) -> Counts:
        listed = len({file.path for file in self._listing if not file.marker})
        number = {
            action: len(self._of(action))
            for action in ("added", "changed", "removed", "kept", "deferred")
        }
        new = sum(change.held is None for change in self._of("deferred"))
        held = len(self._dataset.entries)
        gone = number["changed"] + number["removed"] + number["kept"] + number["deferred"] - new
        wanted = list(self.iter_wanted())
        new_files = [one.listed for one in self._of("added", "changed") if one.listed is not None]
        return Counts(
            listed,
            held,
            number["added"],
            number["changed"],
            number["removed"],
            held - gone,
            len(wanted),
            sum(file.size_bytes or 0 for file in wanted),
            fetched=len(new_files) - len(wanted),
            fetched_bytes=sum(file.size_bytes or 0 for file in new_files)
            - sum(file.size_bytes or 0 for file in wanted),
            unsized=sum(file.size_bytes is None for file in new_files),
        )

    def publish(self, *, removals: bool) -> None:
        """What became of the attempt is the current version now."""
        for change in list(self._changes.values()):
            if change.action == "removed" and removals:
                del self._dataset.entries[change.path]
            elif change.action in ("added", "changed"):
                arrived = self._arrived(change)
                if arrived is not None:
                    self._dataset.entries[change.path] = Held(
                        change.path,
                        arrived.size_bytes,
                        arrived.modified_ns,
                        arrived.etag,
                        arrived.sha256,
                        arrived.settled,
                    )
        self._dataset.receipts.clear()

    def _arrived(self, change: _Change) -> Arrived | None:
        """What was fetched of it under the same listing."""
        found = self._dataset.receipts.get(change.path)
        if found is None or change.listed is None:
            return None
        record, arrived = found
        told = self._told.get(change.path)
        if _plain(arrived.listed) != _plain(change.listed):
            return None
        if told is not None and told.sha256 not in (None, arrived.sha256):
            return None
        proves = change.listed.modified_ns is not None or change.listed.etag is not None
        trusted = self._receipts and arrived.settled and proves
        return arrived if record == self._record or trusted else None

    def _of(self, *actions: str) -> list[_Change]:
        return [change for change in self._changes.values() if change.action in actions]


def _stays(change: _Change, removals: bool) -> bool:
    """Whether it is kept though it is not listed, or not as it is listed."""
    if change.held is None:
        return False
    return change.action in ("deferred", "kept") or (change.action == "removed" and not removals)


def _plain(file: Listed) -> Listed:
    """What is recorded of a file, and nothing of what is decided."""
    return Listed(file.path, file.size_bytes, file.modified_ns, file.etag)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _above(path: str) -> Iterator[str]:
    while path := _folder(path):
        yield path

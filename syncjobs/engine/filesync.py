"""One attempt at one file sync: list, compare, guard, fetch. Publishing is the caller's.

The far end is asked through a transport, what is held through a catalog, and bytes go to a store;
this module only decides what is asked of whom, in which order, and what becomes of a failing entry.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TypeVar

from datasets.catalog import Listed, Pair, Told
from datasets.receipts import Arrived
from farends import names
from farends.contract import (
    INCOMPLETE,
    Capabilities,
    Digested,
    Fetched,
    RemoteEntry,
    RoundListing,
    Skipped,
    Transport,
)
from farends.errors import PermissionRefused, TransportError, Truncated, Unstable, Vanished
from farends.measuring import TimesSeen
from store.blobs import BlobStore
from store.partials import Received
from syncjobs.core.comparing import (
    Comparison,
    FarClock,
    Fingerprint,
    decide_equal,
    far_clock,
    is_ahead,
    is_settled,
    is_settling,
    is_stable,
)
from syncjobs.core.deadlines import DeadlineRule, Past, decide_deadline_s, expect_s
from syncjobs.core.plans import Held, Plan, RoundFolder, Waiver, judge
from syncjobs.core.selection import LIMITS, MARKER, Selection
from syncjobs.core.states import Stage
from syncjobs.engine.arriving import Catalog, Keeper, Receipts, receipt_of
from syncjobs.engine.listing import Listing
from syncjobs.engine.progress import Progress, Trouble
from syncjobs.engine.receiving import StoreSink

STAGED_AT_ONCE = 5_000
STAGED_AFTER_S = 1.0  # so that a slow listing shows that it goes on
TOLD_AT_ONCE = 1_000
PATH_BYTES_MAX = 2_500  # of the text form: what an index row of PostgreSQL takes
SECOND_TRIES_MAX = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be synced, and under which rules. `source` names far end and dataset, so that bytes
    left by an attempt are gone on with for the same source only."""

    source: str
    root: PurePosixPath
    selection: Selection
    removals_apply: bool
    full: bool
    waiver: Waiver | None
    deadline: DeadlineRule
    timeout_s: float | None
    past: Sequence[Past] = ()  # the job's latest successful records
    spent_s: float = 0.0  # what this record's earlier attempts have worked
    settle_s: int = 0
    max_files: int | None = None
    max_bytes: int | None = None
    max_listed: int | None = None  # rows of one listing
    as_listed: bool = False  # a file that is not the listed one any more is not asked for again
    comparison: Comparison = Comparison.MODIFIED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the attempt came to. With `held` nothing was fetched and nothing may be published."""

    plan: Plan
    held: Held | None
    removals: bool  # whether removals may be published
    listing_complete: bool


@dataclass(slots=True)
class Unproved:
    """Files of which nobody tells the size: a transfer that was cut would look whole."""

    files: int = 0
    first: str = ""

    def note(self, fetched: Fetched) -> None:
        if fetched.unproved:
            self.first = self.first or names.to_text(fetched.entry.path)
            self.files += 1

    @property
    def warning(self) -> str:
        if not self.files:
            return ""
        return (
            f"the source tells no size of {self.files} files, the first {names.printable(self.first, 200)}:"
            " that they are complete could not be proved"
        )


class FileSync:
    """One attempt. `check` raises a Stop when the work must end."""

    def __init__(
        self,
        order: Order,
        transport: Transport,
        catalog: Catalog,
        receipts: Receipts,
        store: BlobStore,
        *,
        attempt: str,
        progress: Progress,
        check: Callable[[], None],
    ) -> None:
        self._order = order
        self._transport = transport
        self._catalog = catalog
        self._receipts = receipts
        self._store = store
        self._attempt = attempt
        self._progress = progress
        self._check = check
        self._listing = Listing(transport, order.root, check, most=order.max_listed)
        self._trusted_files = 0  # taken for unchanged by what the listing told
        self._capped = False
        self.unproved = Unproved()
        self._times = TimesSeen()
        self._not_there: list[str] = []  # listed, and not found when they were asked for
        self._told: dict[str, bytes] = {}  # the far end's digests of files on their way, by path
        # Before the first look: a file that changes after it, within its clock's precision, may keep
        # its fingerprint.
        self._began_ns = time.time_ns()
        self._began_s = time.monotonic()

    @property
    def capabilities(self) -> Capabilities:
        """As measured so far, times by what the listing has shown of them."""
        told = self._transport.capabilities
        return replace(told, modified_precision_ns=self._times.coarsest(told.modified_precision_ns))

    @property
    def _precision_ns(self) -> int:
        """Known for sure only after the listing."""
        return self._times.coarsest(self._transport.capabilities.modified_precision_ns)

    def _clock_at(self, now_ns: int) -> FarClock:
        told = self._transport.capabilities
        return far_clock(now_ns, told.clock_skew_s, told.clock_error_s)

    @property
    def looked_at_all(self) -> bool:
        """Whether the content of every listed file was read or digested, as far as it could be: what
        fails is told, and would fail again."""
        return not self._trusted_files and not self._capped

    def plan(self) -> Outcome:
        """Lists, compares and judges; fetches nothing."""
        self._progress.enter(Stage.DETECTING_CHANGES)
        # Until the plan is known the listing itself must not last for ever.
        self._progress.expect(self._deadline_s(None), self._expected_s(None))
        files = self._select(iter(self._listing))
        for batch in _batched(files, STAGED_AT_ONCE):
            self._check()
            self._catalog.stage(batch)
            self._progress.listed(len(batch))
        if self._order.selection.done is not None:
            self._defer_unmarked()
        self._progress.moved()
        self._compare()
        self._keep_what_leads_elsewhere()
        removals = self._listing.complete and self._order.removals_apply
        self._defer_conflicts(removals)
        counts = self._catalog.count()
        if self._order.comparison is not Comparison.CHECKSUM:  # mode `full` leaves none unchanged
            self._trusted_files = counts.unchanged
        plan = Plan(
            counts.listed,
            counts.held,
            counts.added,
            counts.changed,
            counts.removed,
            counts.unchanged,
            counts.wanted,
            counts.wanted_bytes,
        )
        held = judge(
            plan,
            listing_complete=self._listing.complete,
            removals_apply=self._order.removals_apply,
            round_folders=map(self._look_into, self._listing.round),
        )
        if held is not None and self._order.waiver is not None and self._order.waiver.covers(held):
            held = None
        self._progress.planned(
            files=plan.wanted,
            size_bytes=plan.wanted_bytes,
            deadline_s=self._deadline_s(plan.wanted),
            expected_s=self._expected_s(plan.wanted),
        )
        return Outcome(plan, held, removals, self._listing.complete)

    def _deadline_s(self, files: int | None) -> float:
        return decide_deadline_s(
            self._order.deadline,
            files,
            looked_s=time.monotonic() - self._began_s,
            spent_s=self._order.spent_s,
            past=self._order.past,
            own_s=self._order.timeout_s,
        )

    def _expected_s(self, files: int | None) -> float:
        order = self._order
        return expect_s(order.deadline, files, order.past, own_s=order.timeout_s)

    def run(self, confirm: Callable[[Outcome], None] = lambda outcome: None) -> Outcome:
        """Plans, and fetches what the plan wants. An entry's own failure becomes a trouble.

        `confirm` is called with the plan, before anything is fetched; what it raises ends the work.
        """
        self._progress.enter(Stage.INITIALIZING)
        self._store.prepare()
        outcome = self.plan()
        confirm(outcome)
        if outcome.held is None:
            self._progress.enter(Stage.PROCESSING_FILES)
            with Keeper(
                self._store, self._receipts, self._progress, attempt=self._attempt
            ) as keeper:
                again = self._fetch(self._iter_wanted(), {}, keeper)
                if again:
                    self._ask_again(seen for _, seen in again.values())
                    originals = {path: listed for path, (listed, _) in again.items()}
                    self._fetch((seen for _, seen in again.values()), originals, keeper)
                keeper.finish()
            self._keep_what_is_doubtful()
            self._progress.enter(Stage.FINALIZING)
        return outcome

    def _keep_what_is_doubtful(self) -> None:
        """A listing that names what is not there may have a file under a wrong name, so it does not prove
        that the others of its folder are gone."""
        for path in self._catalog.keep_beside(self._not_there) if self._not_there else ():
            words = "not listed, but another name of its folder was listed and is not there"
            self._progress.trouble(Trouble(path, "deferred", "doubtful_listing", words))

    def _select(self, seen: Iterator[RemoteEntry | Skipped]) -> Iterator[Listed]:
        selection = self._order.selection
        for item in seen:
            self._progress.moved()
            path = names.to_text(item.path)
            if isinstance(item, Skipped):
                self._note_skipped(path, item)
                continue
            if len(path.encode()) > PATH_BYTES_MAX:
                self._progress.trouble(_too_long(path))
                continue
            age_s = None if item.modified_ns is None else (self._began_ns - item.modified_ns) / 1e9
            excluded = selection.find_exclusion(path, item.size_bytes, age_s)
            if excluded is None:
                yield self._listed(path, item)
            elif excluded.rule == MARKER:
                yield Listed(path, None, None, None, marker=True)
            elif excluded.rule in LIMITS:
                # A pattern leaves out what a person named; a limit may surprise, so it is told, and
                # what is held of a file that came to pass it stays.
                code = LIMITS[excluded.rule]
                self._progress.trouble(Trouble(path, "skipped", code, excluded.detail))
                yield Listed(path, item.size_bytes, item.modified_ns, item.etag, deferred=True)

    def _listed(self, path: str, item: RemoteEntry) -> Listed:
        """A file that may still be being written is seen, and left for a later record."""
        self._times.note(item.modified_ns)
        settle_s = self._order.settle_s
        settling = settle_s > 0 and is_settling(
            item.modified_ns, self._clock_at(time.time_ns()), self._precision_ns, settle_s
        )
        if settling:
            words = f"changed less than {self._order.settle_s} s before the listing"
            self._progress.trouble(Trouble(path, "deferred", "settling", words))
        done = self._order.selection.done
        return Listed(
            path,
            item.size_bytes,
            item.modified_ns,
            item.etag,
            deferred=settling,
            needs=done.marker_of(path) if done else None,
        )

    def _defer_unmarked(self) -> None:
        """A file whose marker is not in the same listing may be half of what it will be."""
        for path, marker in self._catalog.defer_unmarked():
            words = f"its marker {marker} is not there yet"
            self._progress.trouble(Trouble(path, "deferred", "waiting_for_marker", words))

    def _iter_wanted(self) -> Iterator[RemoteEntry]:
        """What the plan wants, up to this record's caps; the rest waits for the next."""
        files = size_bytes = 0
        for listed in self._catalog.iter_wanted():
            files += 1
            size_bytes += listed.size_bytes or 0
            caps = ((files, self._order.max_files), (size_bytes, self._order.max_bytes))
            if any(cap is not None and reached > cap for reached, cap in caps) and files > 1:
                self._capped = True
                words = "past the files or bytes that one record may fetch"
                self._progress.trouble(Trouble(listed.path, "deferred", "capped", words))
                continue
            entry = _remote(listed)
            if listed.told_sha256 is not None:
                self._told[entry.path] = listed.told_sha256
            yield entry

    def _note_skipped(self, path: str, item: Skipped) -> None:
        action = "failed" if item.reason in INCOMPLETE else "skipped"
        self._progress.trouble(Trouble(path or ".", action, item.reason.value, item.message))

    def _keep_what_leads_elsewhere(self) -> None:
        """A file is not gone where its link is still there and leads to another place."""
        words = {names.to_text(item.path): item.message for item in self._listing.elsewhere}
        for path, link in self._catalog.keep(list(words)) if words else ():
            self._progress.trouble(Trouble(path, "failed", "leads_elsewhere", words[link]))

    def _defer_conflicts(self, removals: bool) -> None:
        for conflict in self._catalog.defer_conflicts(removals=removals):
            words = f"{conflict.path} is a file and a folder at once: {conflict.below} lies in it"
            self._progress.trouble(Trouble(conflict.path, "failed", "type_conflict", words))

    def _look_into(self, listing: RoundListing) -> RoundFolder:
        path = names.to_text(listing.path)
        return RoundFolder(path, listing.rows, self._catalog.count_gone_from(path))

    def _compare(self) -> None:
        self._catalog.compare(self._is_equal)
        if self._order.full or self._order.comparison is not Comparison.CHECKSUM:
            return
        asked = map(_remote, self._catalog.iter_asked())
        for batch in _batched(self._transport.digests(asked), TOLD_AT_ONCE):
            self._check()
            self._progress.moved()
            self._catalog.take_told([self._take_told(digested) for digested in batch])

    def _is_equal(self, pair: Pair) -> bool | None:
        now = self._clock_at(time.time_ns())
        ahead = is_ahead(pair.listed.modified_ns, now, self._precision_ns)
        return decide_equal(
            self._order.comparison,
            _fingerprint(pair.listed),
            _fingerprint(pair.held),
            self._precision_ns,
            settled=pair.settled or ahead,
        )

    def _take_told(self, digested: Digested) -> Told:
        entry = digested.entry
        return Told(
            path=names.to_text(entry.path),
            sha256=digested.sha256,
            settled=self._is_settled(entry.modified_ns, entry.etag),
        )

    def _ask_again(self, entries: Iterator[RemoteEntry]) -> None:
        """A file that is tried again may have changed since it was asked about."""
        known = [entry for entry in entries if entry.path in self._told]
        self._told.clear()
        for digested in self._transport.digests(known) if known else ():
            self._check()
            self._progress.moved()
            if digested.sha256 is not None:
                self._told[digested.entry.path] = digested.sha256

    def _is_settled(self, modified_ns: int | None, etag: str | None) -> bool:
        settled = is_settled(modified_ns, self._clock_at(self._began_ns), self._precision_ns)
        return etag is not None or settled

    def _fetch(
        self, wanted: Iterator[RemoteEntry], originals: Mapping[str, RemoteEntry], keeper: Keeper
    ) -> dict[str, tuple[RemoteEntry, RemoteEntry]]:
        """Fetches and keeps. Returns, by path, (as listed, as to be fetched again) of files that
        deserve a second try; on the second try, `originals` tells how each was listed."""
        again: dict[str, tuple[RemoteEntry, RemoteEntry]] = {}
        for fetched in keeper.finishing_on_error(self._transport.fetch(wanted, self._sink())):
            self._check()
            entry = fetched.entry
            error = fetched.error or self._find_fault(fetched)
            if error is None:
                self.unproved.note(fetched)
                arrived = self._arrived(fetched, originals.get(entry.path, entry))
                keeper.add(arrived, receipt_of(fetched))
            else:
                if isinstance(fetched.receipt, Received):
                    fetched.receipt.discard()
                if error.retryable and not originals and len(again) < SECOND_TRIES_MAX:
                    changed = None if self._order.as_listed else fetched.observed
                    again[entry.path] = (entry, changed or entry)
                    continue
                path = names.to_text(entry.path)
                self._progress.trouble(Trouble(path, "failed", error.code, str(error)))
                if isinstance(error, Vanished | PermissionRefused):
                    self._not_there.append(path)
            self._told.pop(entry.path, None)
            self._progress.finished_file()
        return again

    def _sink(self) -> StoreSink:
        return StoreSink(
            self._store,
            attempt=self._attempt,
            source_of=self._source_of,
            began=self._clock_at(self._began_ns),
            precision_ns=self._precision_ns,
            limit_bytes=self._order.selection.max_file_size_bytes,
            progress=self._progress,
            check=self._check,
        )

    def _source_of(self, entry: RemoteEntry) -> str | None:
        """Whose the bytes are that an attempt leaves of an entry; None: they would be of no use, or its
        size and time are not to stand for its content. A digest that was told shows in the end what was put together wrongly."""
        by_content = self._order.comparison is Comparison.CHECKSUM and entry.path not in self._told
        no_proof = not self._transport.capabilities.proves_parts
        return None if self._order.full or by_content or no_proof else self._order.source

    def _find_fault(self, fetched: Fetched) -> TransportError | None:
        """Bytes received, size declared and size stored must be one, and the file the listed one (docs/promises.md, P3)."""
        receipt = receipt_of(fetched)
        seen = fetched.observed or fetched.entry
        for declared in (fetched.entry.size_bytes, seen.size_bytes):
            if declared is not None and receipt.size_bytes < declared:
                return Truncated(f"{receipt.size_bytes} of {declared} bytes arrived")
            if declared is not None and receipt.size_bytes > declared:
                return Unstable(f"{receipt.size_bytes} bytes arrived, {declared} were declared")
        if not is_stable(_fingerprint(fetched.entry), _fingerprint(seen), self._precision_ns):
            return Unstable("the file changed between its listing and the end of its transfer")
        if self._told.get(fetched.entry.path, receipt.sha256) != receipt.sha256:
            return Unstable("what came has not the digest that the far end told")
        return None

    def _arrived(self, fetched: Fetched, listed: RemoteEntry) -> Arrived:
        receipt = receipt_of(fetched)
        seen = fetched.observed or fetched.entry
        modified_ns = (
            seen.modified_ns if fetched.entry.modified_ns is None else (fetched.entry.modified_ns)
        )
        etag = fetched.entry.etag  # what only the transfer tells, no later listing would
        return Arrived(
            listed=_listed(listed),
            size_bytes=receipt.size_bytes,
            modified_ns=modified_ns,
            etag=etag,
            sha256=receipt.sha256,
            settled=self._is_settled(modified_ns, etag),
            content_type=fetched.content_type,
            landed=fetched.landed,
        )


def _too_long(path: str) -> Trouble:
    words = f"the path takes over {PATH_BYTES_MAX} bytes"
    return Trouble(f"{path[:200]}…", "failed", "path_too_long", words)


def _listed(entry: RemoteEntry) -> Listed:
    return Listed(names.to_text(entry.path), entry.size_bytes, entry.modified_ns, entry.etag)


def _remote(listed: Listed) -> RemoteEntry:
    path = names.from_text(listed.path)
    return RemoteEntry(path, listed.size_bytes, listed.modified_ns, listed.etag)


def _fingerprint(file: Listed | RemoteEntry) -> Fingerprint:
    return Fingerprint(file.size_bytes, file.modified_ns, file.etag)


def _batched(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """At most `size` at once, and what there is after a while."""
    batch: list[T] = []
    until = time.monotonic() + STAGED_AFTER_S
    for item in items:
        batch.append(item)
        if len(batch) >= size or time.monotonic() >= until:
            yield batch
            batch, until = [], time.monotonic() + STAGED_AFTER_S
    if batch:
        yield batch

"""The third step of a file sync: what the plan wants is fetched, proved and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from datasets.receipts import Arrived
from farends.contract import Fetched, RemoteEntry
from farends.errors import PermissionRefused, TransportError, Truncated, Unstable, Vanished
from farends.names import to_text
from store.blobs import BlobStore
from store.partials import Received
from syncjobs.core.comparing import Comparison, is_stable
from syncjobs.engine.arriving import Catalog, Keeper, Receipts, get_receipt
from syncjobs.engine.order import Attempt, Order, Unproved
from syncjobs.engine.progress import Trouble
from syncjobs.engine.receiving import StoreSink
from syncjobs.engine.source import Source, fingerprint_of, to_listed, to_remote

SECOND_TRIES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Again:
    """A file that gets a second try: as it was listed, and as the next request names it."""

    listed: RemoteEntry
    asked: RemoteEntry


@dataclass(frozen=True, slots=True)
class Tally:
    """The result of a finished fetching."""

    capped: bool  # the plan wanted more than one record may fetch
    unproved: Unproved


class Fetching:
    """Fetches once what one plan wants. An entry's own failure becomes a trouble."""

    def __init__(
        self,
        order: Order,
        source: Source,
        catalog: Catalog,
        store: BlobStore,
        receipts: Receipts,
        attempt: Attempt,
    ) -> None:
        self._order = order
        self._source = source
        self._transport = source.transport
        self._catalog = catalog
        self._store = store
        self._receipts = receipts
        self._attempt = attempt
        self._check = attempt.check
        self._progress = attempt.progress
        self._told: dict[str, bytes] = {}  # the far end's digests of files on their way, by path
        self._not_there: list[str] = []  # listed, and not found when they were asked for
        self._capped = False
        self._unproved = Unproved()

    def fetch(self) -> Tally:
        with Keeper(
            self._store, self._receipts, self._progress, attempt=self._attempt.name
        ) as keeper:
            again = self._fetch(self._iter_wanted(), {}, keeper)
            if again:
                self._ask_again(again)
                self._fetch((one.asked for one in again.values()), again, keeper)
            keeper.finish()
        self._keep_what_is_doubtful()
        return Tally(self._capped, self._unproved)

    def _iter_wanted(self) -> Iterator[RemoteEntry]:
        """What the plan wants, up to this record's caps; the rest waits for the next."""
        files = size_bytes = 0
        max_files, max_bytes = self._order.max_files, self._order.max_bytes
        for listed in self._catalog.iter_wanted():
            files += 1
            size_bytes += listed.size_bytes or 0
            is_over = (max_files is not None and files > max_files) or (
                max_bytes is not None and size_bytes > max_bytes
            )
            if is_over and files > 1:
                self._capped = True
                words = "past the files or bytes that one record may fetch"
                self._progress.trouble(Trouble(listed.path, "deferred", "capped", words))
                continue
            entry = to_remote(listed)
            if listed.told_sha256 is not None:
                self._told[entry.path] = listed.told_sha256
            yield entry

    def _fetch(
        self, wanted: Iterator[RemoteEntry], seconds: Mapping[str, Again], keeper: Keeper
    ) -> dict[str, Again]:
        """Returns, by path, the files that deserve a second try. `seconds` are those that have it now:
        no file gets a third."""
        again: dict[str, Again] = {}
        for fetched in keeper.finishing_on_error(self._transport.fetch(wanted, self._sink())):
            self._check()
            entry = fetched.entry
            error = fetched.error or self._find_fault(fetched)
            if error is None:
                second = seconds.get(entry.path)
                self._keep(fetched, entry if second is None else second.listed, keeper)
            elif error.retryable and not seconds and len(again) < SECOND_TRIES_MAX:
                self._discard(fetched)
                changed = None if self._order.as_listed else fetched.observed
                again[entry.path] = Again(entry, changed or entry)
                continue
            else:
                self._discard(fetched)
                self._progress.counted(entry.size_bytes or 0)  # nothing more comes of it
                self._fail(entry, error)
            self._told.pop(entry.path, None)
            self._progress.finished_file()
        return again

    def _keep(self, fetched: Fetched, listed: RemoteEntry, keeper: Keeper) -> None:
        if fetched.unproved:
            first = self._unproved.first or to_text(fetched.entry.path)
            self._unproved = Unproved(self._unproved.files + 1, first)
        keeper.add(self._arrived(fetched, listed), get_receipt(fetched))

    def _discard(self, fetched: Fetched) -> None:
        if isinstance(fetched.receipt, Received):
            self._progress.counted(-fetched.receipt.size_bytes)
            fetched.receipt.discard()

    def _fail(self, entry: RemoteEntry, error: TransportError) -> None:
        path = to_text(entry.path)
        self._progress.trouble(Trouble(path, "failed", error.code, str(error)))
        if isinstance(error, Vanished | PermissionRefused):
            self._not_there.append(path)

    def _ask_again(self, again: Mapping[str, Again]) -> None:
        """A file that is tried again may have changed since it was asked about."""
        known = [one.asked for one in again.values() if one.asked.path in self._told]
        self._told.clear()
        for digested in self._transport.digests(known) if known else ():
            self._check()
            self._progress.moved()
            if digested.sha256 is not None:
                self._told[digested.entry.path] = digested.sha256

    def _keep_what_is_doubtful(self) -> None:
        """A listing that names what is not there may have a file under a wrong name, so it does not prove
        that the others of its folder are gone."""
        for path in self._catalog.keep_beside(self._not_there) if self._not_there else ():
            words = "not listed, but another name of its folder was listed and is not there"
            self._progress.trouble(Trouble(path, "deferred", "doubtful_listing", words))

    def _sink(self) -> StoreSink:
        return StoreSink(
            self._store,
            attempt=self._attempt.name,
            source_of=self._source_of,
            began=self._source.began,
            precision_ns=self._source.precision_ns,
            limit_bytes=self._order.selection.max_file_size_bytes,
            progress=self._progress,
            check=self._check,
        )

    def _source_of(self, entry: RemoteEntry) -> str | None:
        """Whose the bytes are that an attempt leaves of an entry. None: they would be of no use, or the
        entry's size and time do not stand for its content. A digest that was told shows in the end what
        was put together wrongly."""
        by_content = self._order.comparison is Comparison.CHECKSUM and entry.path not in self._told
        no_proof = not self._transport.capabilities.proves_parts
        return None if self._order.full or by_content or no_proof else self._order.source

    def _find_fault(self, fetched: Fetched) -> TransportError | None:
        """Bytes received, size declared and size stored must be one, and the file the listed one (docs/promises.md, P3)."""
        receipt = get_receipt(fetched)
        seen = fetched.observed or fetched.entry
        for declared in (fetched.entry.size_bytes, seen.size_bytes):
            if declared is not None and receipt.size_bytes < declared:
                return Truncated(f"{receipt.size_bytes} of {declared} bytes arrived")
            if declared is not None and receipt.size_bytes > declared:
                return Unstable(f"{receipt.size_bytes} bytes arrived, {declared} were declared")
        precision_ns = self._source.precision_ns
        if not is_stable(fingerprint_of(fetched.entry), fingerprint_of(seen), precision_ns):
            return Unstable("the file changed between its listing and the end of its transfer")
        if self._told.get(fetched.entry.path, receipt.sha256) != receipt.sha256:
            return Unstable("what came has not the digest that the far end told")
        return None

    def _arrived(self, fetched: Fetched, listed: RemoteEntry) -> Arrived:
        receipt = get_receipt(fetched)
        seen = fetched.observed or fetched.entry
        known_ns = fetched.entry.modified_ns
        modified_ns = seen.modified_ns if known_ns is None else known_ns
        etag = fetched.entry.etag  # what only the transfer tells, no later listing would
        return Arrived(
            listed=to_listed(listed),
            size_bytes=receipt.size_bytes,
            modified_ns=modified_ns,
            etag=etag,
            sha256=receipt.sha256,
            settled=self._source.is_settled(modified_ns, etag),
            content_type=fetched.content_type,
            landed=fetched.landed,
            source=fetched.source,
        )

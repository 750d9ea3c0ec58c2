"""The second step of a file sync: what is listed is compared with what is held, and the plan is judged."""

from __future__ import annotations

from datasets.catalog import Pair, ToldDigest
from farends.contract import Digested, RoundListing
from farends.names import to_text
from syncjobs.core.comparing import Comparison, decide_equal
from syncjobs.core.plans import Held, Plan, RoundFolder, judge
from syncjobs.engine.arriving import Catalog
from syncjobs.engine.listing import Listing
from syncjobs.engine.order import Attempt, Order, Outcome
from syncjobs.engine.progress import Trouble
from syncjobs.engine.source import Source, fingerprint_of, to_remote
from syncjobs.engine.staging import split_batches

TOLD_AT_ONCE = 1_000


class Planning:
    """Makes the plan of a listing that is staged, and says how long that may and will take."""

    def __init__(self, order: Order, source: Source, catalog: Catalog, attempt: Attempt) -> None:
        self._order = order
        self._source = source
        self._catalog = catalog
        self._check = attempt.check
        self._progress = attempt.progress

    def plan(self, listing: Listing) -> Outcome:
        self._compare()
        self._keep_what_leads_elsewhere(listing)
        removals = listing.complete and self._order.removals_apply
        self._fail_conflicts(removals)
        counts = self._catalog.count()
        if listing.emptiness is not None and not counts.held:
            raise listing.emptiness  # where files are held, a guard stands before their removal
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
        held = self._judge(plan, listing)
        waiver = self._order.waiver
        waived = held is not None and waiver is not None and waiver.covers(held)
        allowance = self._order.allowance
        self._progress.planned(
            files=plan.wanted,
            size_bytes=None if counts.unsized else plan.wanted_bytes,
            deadline_s=allowance.deadline_s(plan.wanted, looked_s=self._source.looked_s),
            expected_s=allowance.expected_s(plan.wanted),
            done_files=counts.fetched,
            done_bytes=counts.fetched_bytes,
        )
        # What the listing alone made unchanged was not looked at; mode `full` leaves none unchanged.
        by_content = self._order.comparison is Comparison.CHECKSUM
        return Outcome(
            plan,
            None if waived else held,
            removals,
            listing.complete,
            looked_at_all=self._order.only is None and (by_content or counts.unchanged == 0),
            waived=held if waived else None,
        )

    def _judge(self, plan: Plan, listing: Listing) -> Held | None:
        return judge(
            plan,
            listing_complete=listing.complete,
            removals_apply=self._order.removals_apply,
            round_folders=map(self._look_into, listing.round),
        )

    def _look_into(self, listing: RoundListing) -> RoundFolder:
        path = to_text(listing.path)
        return RoundFolder(path, listing.rows, self._catalog.count_gone_from(path))

    def _compare(self) -> None:
        self._catalog.compare(self._is_equal)
        if self._order.full or self._order.comparison is not Comparison.CHECKSUM:
            return
        asked = map(to_remote, self._catalog.iter_asked())
        for batch in split_batches(self._source.transport.digests(asked), TOLD_AT_ONCE):
            self._check()
            self._progress.moved()
            self._catalog.take_told([self._take_told(digested) for digested in batch])

    def _is_equal(self, pair: Pair) -> bool | None:
        return decide_equal(
            self._order.comparison,
            fingerprint_of(pair.listed),
            fingerprint_of(pair.held),
            self._source.precision_ns,
            settled=pair.settled or self._source.is_ahead(pair.listed.modified_ns),
        )

    def _take_told(self, digested: Digested) -> ToldDigest:
        entry = digested.entry
        return ToldDigest(
            path=to_text(entry.path),
            sha256=digested.sha256,
            settled=self._source.is_settled(entry.modified_ns, entry.etag),
        )

    def _keep_what_leads_elsewhere(self, listing: Listing) -> None:
        """A file is not gone where its link is still there and leads to another place."""
        words = {to_text(item.path): item.message for item in listing.elsewhere}
        for path, link in self._catalog.keep(list(words)) if words else ():
            self._progress.trouble(Trouble(path, "failed", "leads_elsewhere", words[link]))

    def _fail_conflicts(self, removals: bool) -> None:
        for conflict in self._catalog.defer_conflicts(removals=removals):
            words = f"{conflict.path} is a file and a folder at once: {conflict.below} lies in it"
            self._progress.trouble(Trouble(conflict.path, "failed", "type_conflict", words))

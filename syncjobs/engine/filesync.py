"""One attempt at one file sync: listing, plan, fetching. Publishing is the caller's.

The far end is asked through a transport, what is held through a catalog, and bytes go to a store; each
step is a module of its own (`staging`, `planning`, `fetching`), and this one says what follows what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from farends.contract import Capabilities, Transport
from store.blobs import BlobStore
from syncjobs.core.states import Stage
from syncjobs.engine.arriving import Catalog, Receipts
from syncjobs.engine.fetching import Fetching
from syncjobs.engine.listing import Listing
from syncjobs.engine.order import Attempt, Order, Outcome
from syncjobs.engine.planning import Planning
from syncjobs.engine.source import Source
from syncjobs.engine.staging import Staging


class FileSync:
    """Use it once."""

    def __init__(
        self, order: Order, transport: Transport, catalog: Catalog, attempt: Attempt
    ) -> None:
        self._order = order
        self._source = Source(transport)
        self._catalog = catalog
        self._attempt = attempt

    @property
    def capabilities(self) -> Capabilities:
        """The far end's, as measured so far."""
        return self._source.capabilities

    def plan(self) -> Outcome:
        """Lists, compares and judges; fetches nothing."""
        order, source, catalog, attempt = self._order, self._source, self._catalog, self._attempt
        attempt.progress.enter(Stage.DETECTING_CHANGES)
        # Until the plan is known the listing itself must not last for ever.
        allowed = order.allowance
        attempt.progress.expect(allowed.deadline_s(), allowed.expected_s())
        listing = Listing(source.transport, attempt.check, most=order.max_listed)
        Staging(order, source, catalog, attempt).stage(listing)
        return Planning(order, source, catalog, attempt).plan(listing)

    def run(
        self,
        store: BlobStore,
        receipts: Receipts,
        confirm: Callable[[Outcome], None] = lambda outcome: None,
    ) -> Outcome:
        """Plans, and fetches what the plan wants.

        `confirm` is called with the plan, before anything is fetched; what it raises ends the work.
        """
        progress = self._attempt.progress
        progress.enter(Stage.INITIALIZING)
        store.prepare()
        outcome = self.plan()
        confirm(outcome)
        if outcome.held is not None:
            return outcome
        progress.enter(Stage.PROCESSING_FILES)
        fetching = Fetching(
            self._order, self._source, self._catalog, store, receipts, self._attempt
        )
        tally = fetching.fetch()
        progress.enter(Stage.FINALIZING)
        return replace(
            outcome,
            looked_at_all=outcome.looked_at_all and not tally.capped,
            unproved=tally.unproved,
        )

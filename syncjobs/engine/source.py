"""The far end of one attempt: its transport, and what the times that it tells prove."""

from __future__ import annotations

import time
from dataclasses import replace

from datasets.catalog import Listed
from farends.contract import Capabilities, RemoteEntry, Transport
from farends.measuring import TimesSeen
from farends.names import from_text, to_text
from syncjobs.core.comparing import (
    FarClock,
    Fingerprint,
    far_clock,
    is_ahead,
    is_settled,
    is_settling,
)


class Source:
    """Make it before the first look: a file that changes after that, within its clock's precision, may
    keep its fingerprint."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._times = TimesSeen()
        self._began_ns = time.time_ns()
        self._began_s = time.monotonic()

    @property
    def looked_s(self) -> float:
        """Seconds since the first look."""
        return time.monotonic() - self._began_s

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities as measured so far, times by what the listing has shown of them."""
        return replace(self.transport.capabilities, modified_precision_ns=self.precision_ns)

    @property
    def precision_ns(self) -> int:
        """Known for sure only after the listing."""
        return self._times.coarsest(self.transport.capabilities.modified_precision_ns)

    @property
    def began(self) -> FarClock:
        """The far end's clock when the attempt began."""
        return self._clock_at(self._began_ns)

    def note_time(self, modified_ns: int | None) -> None:
        """A listed file's time shows how exact the far end's times are."""
        self._times.note(modified_ns)

    def age_s(self, modified_ns: int | None) -> float | None:
        return None if modified_ns is None else (self._began_ns - modified_ns) / 1e9

    def is_settled(self, modified_ns: int | None, etag: str | None) -> bool:
        """Whether an equal fingerprint proves an equal file later."""
        return etag is not None or is_settled(modified_ns, self.began, self.precision_ns)

    def is_settling(self, modified_ns: int | None, settle_s: float) -> bool:
        return settle_s > 0 and is_settling(modified_ns, self._now(), self.precision_ns, settle_s)

    def is_ahead(self, modified_ns: int | None) -> bool:
        return is_ahead(modified_ns, self._now(), self.precision_ns)

    def _now(self) -> FarClock:
        return self._clock_at(time.time_ns())

    def _clock_at(self, now_ns: int) -> FarClock:
        told = self.transport.capabilities
        return far_clock(now_ns, told.clock_skew_s, told.clock_error_s)


def fingerprint_of(file: Listed | RemoteEntry) -> Fingerprint:
    return Fingerprint(file.size_bytes, file.modified_ns, file.etag)


def to_listed(entry: RemoteEntry) -> Listed:
    return Listed(to_text(entry.path), entry.size_bytes, entry.modified_ns, entry.etag)


def to_remote(listed: Listed) -> RemoteEntry:
    path = from_text(listed.path)
    return RemoteEntry(path, listed.size_bytes, listed.modified_ns, listed.etag)

"""`GET /metrics`: Prometheus reads what PostgreSQL knows, at the time of its scrape.

A token shows its workspace's series, and nothing of the installation. An address in METRICS_NETWORKS
sees the whole, but only on a connection of its own: a request that came through a proxy is the proxy's
neighbour's, whatever its headers say, and needs a token.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import accumulate

import psycopg
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from alerts.queries.figures import AlertFigures, read_alert_figures
from api.rest.answers import Refused, problem
from database.sessions import open_session
from datasets.store_room import find_room
from outbox.figures import StreamFigures, read_stream_figures
from search.embedding.figures import read_embedding_requests
from search.indexing.figures import IndexFigures, read_index_figures
from search.querying.durations import BOUNDS_S, DurationSums, search_durations
from search.querying.question import SearchMode
from store.looking import Look
from store.room import Room
from syncjobs.core.states import FINAL, Event
from syncjobs.core.watching import PartSigns
from syncjobs.models import DURATION_BOUNDS_S
from syncjobs.queries.figures import (
    ACTIONS,
    ROW_ACTIONS,
    ConnectorFigures,
    WorkspaceFigures,
    read_figures,
)
from syncjobs.queries.installation import read_signs
from workspaces.models import Workspace
from workspaces.tokens import find_token

log = structlog.get_logger(__name__)

WITHIN_S = 8.0  # Prometheus waits 10 s, where it is not told otherwise
_FORWARDED = ("HTTP_X_FORWARDED", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")
_UP = {"succeeded": 1, "partial": 1, "failed": 0, "timed_out": 0}


@dataclass(frozen=True, slots=True)
class Scope:
    """The workspace whose series are shown; None: the whole installation."""

    workspace: Workspace | None

    @property
    def workspace_id(self) -> uuid.UUID | None:
        return None if self.workspace is None else self.workspace.pk


@dataclass(frozen=True, slots=True)
class Seen:
    """One reading of the database. `signs` are the installation's."""

    figures: Sequence[WorkspaceFigures]
    streams: Sequence[StreamFigures]
    indexes: Sequence[IndexFigures]
    alerts: Sequence[AlertFigures]
    signs: PartSigns | None
    embedding_requests: Mapping[tuple[str, str], int]  # by workspace and outcome


@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    scope = _find_scope(request)
    if scope is None:
        words = "Give a token, or ask from a network in METRICS_NETWORKS."
        return problem(Refused(HTTPStatus.UNAUTHORIZED, words))
    registry = CollectorRegistry(auto_describe=False)
    try:
        registry.register(RecordCollector(_look(scope)))
    except (psycopg.Error, OSError) as exc:  # TimeoutError is one
        log.warning("metrics.failed", error=type(exc).__name__)
        words = "The database does not answer."
        return problem(Refused(HTTPStatus.SERVICE_UNAVAILABLE, words))
    registry.register(SearchCollector(search_durations.read(scope.workspace)))
    if scope.workspace_id is None:
        registry.register(StoreCollector(find_room()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _find_scope(request: HttpRequest) -> Scope | None:
    """A token that is wrong is never made up for by an address."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind:
        row = find_token(token.strip()) if kind.lower() == "bearer" else None
        return Scope(row.workspace) if row else None
    if any(name.startswith(_FORWARDED) for name in request.META):
        return None
    return Scope(None) if _is_neighbour(request.META.get("REMOTE_ADDR", "")) else None


def _is_neighbour(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(
        address in ip_network(network, strict=False) for network in settings.METRICS_NETWORKS
    )


def _look(scope: Scope) -> Seen:
    """One reading at a time for each scope, so that scrapers who come together share it."""
    look = _looks.get(scope)
    if look is None:
        look = _looks.setdefault(scope, Look("metrics", lambda: _read(scope), within_s=WITHIN_S))
    return look.wait(look.begin())


_looks: dict[Scope, Look[Seen]] = {}  # one for each workspace that has a token in use


def _read(scope: Scope) -> Seen:
    with closing(open_session(statement_timeout_s=WITHIN_S, name="metrics")) as session:
        cursor = session.cursor()
        figures = read_figures(cursor, scope.workspace_id)
        streams = read_stream_figures(cursor, scope.workspace_id)
        indexes = read_index_figures(cursor, scope.workspace_id)
        alerts = read_alert_figures(cursor, scope.workspace_id)
        signs = read_signs(cursor) if scope.workspace_id is None else None
        requests = read_embedding_requests(cursor, scope.workspace_id)
        return Seen(figures, streams, indexes, alerts, signs, requests)


class SearchCollector(Collector):
    """How long searches took that this process answered."""

    def __init__(self, durations: Mapping[tuple[str, SearchMode], DurationSums]) -> None:
        self._durations = durations

    def collect(self) -> Iterator[Metric]:
        metric = HistogramMetricFamily(
            "search_duration_seconds",
            "How long searches took, by mode, as far as this process answered them.",
            labels=["workspace", "mode"],
        )
        for (workspace, mode), sums in self._durations.items():
            below = list(accumulate(sums.counts))
            bounds = [*map(str, BOUNDS_S), "+Inf"]
            buckets = list(zip(bounds, below, strict=True))
            metric.add_metric([workspace, mode.value], buckets, sums.total_s)
        yield metric


class RecordCollector(Collector):
    """What records did and do, and, for the installation, how its parts are."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        seen = self._seen
        yield from _collect_totals(seen.figures)
        yield _collect_durations(seen.figures)
        yield from _collect_now(seen.figures)
        yield from _collect_connectors([one for each in seen.figures for one in each.connectors])
        yield from _collect_streams(seen.streams)
        yield _labelled(
            CounterMetricFamily(
                "embedding_requests",
                "Requests to embedding services, by what came of them.",
                labels=["workspace", "outcome"],
            ),
            seen.embedding_requests.items(),
        )
        yield from _collect_indexes(seen.indexes)
        yield from _collect_alerts(seen.alerts)
        if seen.signs is not None:
            yield from _collect_signs(seen.signs)


_NOW: tuple[tuple[str, str, Callable[[WorkspaceFigures], float]], ...] = (
    ("sync_records_running", "Records in work.", lambda one: one.running),
    ("sync_records_queued", "Records that wait, for whatever.", lambda one: one.queued),
    ("sync_records_held", "Records that a guard stopped, for a person.", lambda one: one.held),
    (
        "sync_oldest_queued_seconds",
        "How long the longest waiting due record has waited; 0 where none does.",
        lambda one: one.oldest_queued_s,
    ),
    (
        "sync_dispatch_lag_seconds",
        "How late the longest due fire is that is not dispatched yet; 0 where none is due.",
        lambda one: one.dispatch_lag_s,
    ),
)


def _collect_now(figures: Sequence[WorkspaceFigures]) -> Iterator[Metric]:
    for name, help_text, value in _NOW:
        family = GaugeMetricFamily(name, help_text, labels=["workspace"])
        for one in figures:
            family.add_metric([one.workspace], value(one))
        yield family


def _collect_totals(figures: Sequence[WorkspaceFigures]) -> Iterator[Metric]:
    """Every state, kind and action there can be is shown from 0 on, so that the first one counts too."""
    records, events, files, rows, fetched, lost = (
        CounterMetricFamily(name, help_text, labels=["workspace", *labels])
        for name, help_text, labels in (
            ("sync_records", "Records that have ended.", ["state", "kind"]),
            ("sync_events", "Moves of records.", ["event"]),
            ("sync_files", "Files of ended records.", ["action"]),
            ("sync_rows", "Rows of ended records.", ["action"]),
            ("sync_bytes", "Bytes that ended records fetched.", []),
            ("sync_leases_expired", "Records that were taken back from dead workers.", []),
        )
    )
    for one in figures:
        sums = _sum_up(one)
        for (state, kind), count in sums.ended.items():
            records.add_metric([one.workspace, state, kind], count)
        for family, counts in ((events, sums.events), (files, sums.files), (rows, sums.rows)):
            for name, count in counts.items():
                family.add_metric([one.workspace, name], count)
        total = sum(row.bytes_transferred for row in one.totals)
        fetched.add_metric([one.workspace], total)
        lost.add_metric([one.workspace], sum(sums.events[name] for name in _LOST))
    yield from (records, events, files, rows, fetched, lost)


_LOST = (Event.LEASE_EXPIRED.value, Event.QUARANTINED.value)


@dataclass(frozen=True, slots=True)
class _Sums:
    """The totals of a workspace by what the series tell apart."""

    ended: dict[tuple[str, str], int]
    events: dict[str, int]
    files: dict[str, int]
    rows: dict[str, int]


def _sum_up(figures: WorkspaceFigures) -> _Sums:
    ended = dict.fromkeys(
        ((state.value, kind) for state in sorted(FINAL) for kind in figures.kinds), 0
    )
    events = dict.fromkeys((event.value for event in Event), 0)
    files = dict.fromkeys(ACTIONS, 0)
    rows = dict.fromkeys(ROW_ACTIONS, 0)
    for row in figures.totals:
        if row.event in events:
            events[row.event] += row.records
        if row.final_state is not None:
            ended[row.final_state, row.kind] += row.records
        for action, count in row.files.items():
            files[action] += count
        for action, count in row.rows.items():
            rows[action] += count
    return _Sums(ended, events, files, rows)


def _collect_durations(figures: Sequence[WorkspaceFigures]) -> Metric:
    family = HistogramMetricFamily(
        "sync_record_duration_seconds",
        "From a record's first claim to its end, waits between its attempts included.",
        labels=["workspace", "kind"],
    )
    for one in figures:
        for kind in one.kinds:
            rows = [row for row in one.totals if row.kind == kind]
            counts = [sum(row.durations[n] for row in rows) for n in range(len(_BOUNDS))]
            buckets = list(zip(_BOUNDS, accumulate(counts), strict=True))
            family.add_metric([one.workspace, kind], buckets, sum(row.duration_s for row in rows))
    return family


_BOUNDS = [*(str(float(bound)) for bound in DURATION_BOUNDS_S), "+Inf"]


class StoreCollector(Collector):
    def __init__(self, room: Room | None) -> None:
        self._room = room

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "sync_store_mounted",
            "Whether the store is where it should be.",
            value=int(self._room is not None),
        )
        if self._room is None:
            return
        for name, help_text, value in (
            ("free", "Room on the store's disk.", self._room.free_bytes),
            ("size", "Size of the store's disk.", self._room.size_bytes),
            ("needed", "With less room than this new work waits.", self._room.needed_bytes),
        ):
            yield GaugeMetricFamily(f"sync_store_{name}_bytes", help_text, value=value)


def _collect_connectors(connectors: Iterable[ConnectorFigures]) -> Iterator[Metric]:
    """Leaves out the paused ones: somebody wants them to stand still."""
    labels = ["workspace", "connector"]
    up = GaugeMetricFamily(
        "connector_up",
        "Whether the monitor reaches the far end; before its first look, whether the latest record ended well.",
        labels=labels,
    )
    success = GaugeMetricFamily(
        "sync_last_success_timestamp_seconds",
        "When a record of the connector last ended well, in full or in part.",
        labels=labels,
    )
    for one in connectors:
        if not one.active:
            continue
        if one.reached is not None:
            up.add_metric([one.workspace, one.name], int(one.reached))
        elif one.last_status in _UP:
            up.add_metric([one.workspace, one.name], _UP[one.last_status])
        if one.last_success_at is not None:
            success.add_metric([one.workspace, one.name], one.last_success_at)
    yield up
    yield success


def _collect_streams(streams: Sequence[StreamFigures]) -> Iterator[Metric]:
    labels = ["workspace", "stream"]
    for name, help_text, value in (
        ("readings_queued", "Readings that wait.", lambda one: one.queued),
        (
            "oldest_reading_seconds",
            "How long the longest waiting reading has waited; 0 where none does.",
            lambda one: one.oldest_reading_s,
        ),
        ("dead_letters", "Readings that were refused and not sent again.", lambda one: one.dead_letters),
        ("stream_paused", "Whether delivery has paused the stream.", lambda one: int(one.is_paused)),
    ):  # fmt: skip
        family = GaugeMetricFamily(f"outbox_{name}", help_text, labels=labels)
        for one in streams:
            family.add_metric([one.workspace, one.stream], value(one))
        yield family
    deliveries = CounterMetricFamily(
        "outbox_deliveries", "Tries to send a batch.", labels=[*labels, "outcome"]
    )
    for one in streams:
        for end, count in one.ends.items():
            deliveries.add_metric([one.workspace, one.stream, end], count)
    yield deliveries


def _collect_indexes(indexes: Sequence[IndexFigures]) -> Iterator[Metric]:
    labels = ["workspace", "dataset"]
    chunks = GaugeMetricFamily(
        "index_pending_chunks",
        "Chunks of text that wait for a vector. An empty dataset: all that have no series of their own.",
        labels=labels,
    )
    texts = GaugeMetricFamily(
        "index_pending_texts", "Contents whose words wait for the index.", labels=labels
    )
    oldest = GaugeMetricFamily(
        "index_oldest_pending_seconds",
        "How long the index of the dataset has been behind; 0 where it is not.",
        labels=labels,
    )
    for one in indexes:
        place = [one.workspace, one.dataset]
        chunks.add_metric(place, one.pending_chunks)
        texts.add_metric(place, one.pending_texts)
        oldest.add_metric(place, one.oldest_pending_s)
    yield from (chunks, texts, oldest)


def _collect_alerts(alerts: Sequence[AlertFigures]) -> Iterator[Metric]:
    firing = GaugeMetricFamily(
        "alerts_firing", "Alerts that fire and are not silenced.", labels=["workspace", "severity"]
    )
    deliveries = CounterMetricFamily(
        "alert_deliveries",
        "Tries to send messages of alerts, and alerts that a digest only counts.",
        labels=["workspace", "outcome"],
    )
    oldest = GaugeMetricFamily(
        "alert_oldest_undelivered_seconds",
        "How long the oldest message of an alert that is due has waited; 0 where none does.",
        labels=["workspace"],
    )
    for one in alerts:
        for severity, count in one.firing.items():
            firing.add_metric([one.workspace, severity], count)
        for outcome, count in one.deliveries.items():
            deliveries.add_metric([one.workspace, outcome], count)
        oldest.add_metric([one.workspace], one.oldest_undelivered_s)
    yield from (firing, deliveries, oldest)


def _collect_signs(signs: PartSigns) -> Iterator[Metric]:
    for name, help_text, value in (
        ("sync_beat_tick_age_seconds", "Since beat last dispatched what was due.", signs.beat_s),
        ("sync_reaper_age_seconds", "Since the reaper's last round.", signs.reaper_s),
        ("sync_workers_alive", "Worker processes seen lately.", signs.workers),
        ("sync_workers_draining", "Of these, those that take no new work.", signs.draining),
        (
            "sync_workers_without_store",
            "Of these, those that see no store, or another: they take no record.",
            signs.without_store + signs.with_another_store,
        ),
        ("sync_worker_slots", "Records that workers can work on at once.", signs.slots),
        ("sync_worker_slots_busy", "Of these slots, those in use.", signs.busy),
    ):
        if value is not None:
            yield GaugeMetricFamily(name, help_text, value=value)
    canaries = GaugeMetricFamily(
        "sync_queue_canary_age_seconds",
        "How long the queue's oldest unanswered test message has waited; 0 if all were answered.",
        labels=["queue"],
    )
    for queue, age_s in sorted((signs.unanswered_s or {}).items()):
        canaries.add_metric([queue], age_s)
    yield canaries


def _labelled(
    family: CounterMetricFamily, values: Iterable[tuple[tuple[str, ...], int]]
) -> CounterMetricFamily:
    for labels, value in values:
        family.add_metric(labels, value)
    return family

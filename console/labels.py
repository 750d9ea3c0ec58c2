"""Small pieces of markup that several pages share: coloured labels, bars, links. All escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from connectors.models import Connector
from console.words import NOTHING, moment_words, span_words
from datasets.models import Dataset, Version
from outbox.models import Stream
from syncjobs.core.states import State
from syncjobs.models import ItemAction, SyncJob, SyncRecord

TONES: dict[str, str] = {
    State.QUEUED: "info",
    State.RUNNING: "primary",
    State.HELD: "warning",
    State.SUCCEEDED: "success",
    State.PARTIAL: "warning",
    State.FAILED: "danger",
    State.TIMED_OUT: "danger",
    State.CANCELLED: "plain",
    ItemAction.ADDED: "success",
    ItemAction.CHANGED: "info",
    ItemAction.REMOVED: "warning",
    ItemAction.SKIPPED: "plain",
    "passed": "success",
    "skipped": "plain",
    "active": "success",
    "paused": "warning",
    "online": "success",
    "offline": "danger",
    "refused": "danger",
    "current": "success",
}
# A stalled heartbeat on a running record shows before the reaper acts.
STALE_HEARTBEAT_S = 15
_SIGNS = (
    ("plus", "added", "+"),
    ("tilde", "changed", "~"),
    ("minus", "removed", "-"),
    ("cross", "failed", "!"),
)


def label(word: str, *, tone: str | None = None, title: str = "") -> SafeString:
    return format_html(
        '<span class="sp-label sp-{}" title="{}">{}</span>',
        tone or TONES.get(word, "plain"),
        title,
        word.replace("_", " "),
    )


def bar(percentage: float, *, title: str = "") -> SafeString:
    share = min(max(percentage, 0.0), 100.0)
    return format_html(
        '<span class="sp-progress" title="{}"><span class="sp-bar"><span style="width:{}%"></span>'
        '</span><span class="sp-figure">{} %</span></span>',
        title,
        f"{share:.1f}",
        f"{share:.0f}",
    )


def moment(at: datetime | None) -> SafeString | str:
    """How long ago or until, with the exact time in the tooltip."""
    if at is None:
        return NOTHING
    return format_html(
        '<time class="sp-time" datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S}",
        moment_words(at, timezone.now()),
    )


def heartbeat(record: SyncRecord) -> SafeString | str:
    if record.heartbeat_at is None:
        return NOTHING
    age_s = (timezone.now() - record.heartbeat_at).total_seconds()
    late = record.state == State.RUNNING and age_s > STALE_HEARTBEAT_S
    return format_html(
        '<span class="{}">{}</span>', "sp-late" if late else "", moment(record.heartbeat_at)
    )


def seconds_taken(record: SyncRecord) -> float | None:
    """Returns the seconds so far of a running record; None for one that waits or is held."""
    end = timezone.now() if record.state == State.RUNNING else record.finished_at
    if record.started_at is None or end is None:
        return None
    return (end - record.started_at).total_seconds()


def taken(record: SyncRecord) -> str:
    return span_words(seconds_taken(record))


def changes(row: SyncRecord | Version) -> SafeString | str:
    """What a record did to the dataset, or a version to the one before it."""
    if row.rows_added is not None:
        rows_failed = row.rows_failed if isinstance(row, SyncRecord) else 0
        return counts(
            row.rows_added, row.rows_changed or 0, row.rows_removed or 0, rows_failed or 0
        )
    failed = row.files_failed if isinstance(row, SyncRecord) else 0
    return counts(row.files_added, row.files_changed, row.files_removed, failed)


def counts(added: int, changed: int, removed: int, failed: int = 0) -> SafeString | str:
    """Shows counts that are not zero: `+12 -1`."""
    given = zip(_SIGNS, (added, changed, removed, failed), strict=True)
    shown = [(tone, word, sign, count) for (tone, word, sign), count in given if count]
    if not shown:
        return NOTHING
    return format_html(
        '<span class="sp-changes">{}</span>',
        format_html_join("", '<b class="sp-{}" title="{}">{}{}</b>', shown),
    )


def link(
    target: SyncJob | SyncRecord | Connector | Dataset | Stream, text: str, *, query: str = ""
) -> SafeString:
    return format_html('<a class="sp-link" href="{}{}">{}</a>', find_page_url(target), query, text)


def find_page_url(target: SyncJob | SyncRecord | Connector | Dataset | Stream) -> str:
    return reverse(
        f"admin:{target._meta.app_label}_{target._meta.model_name}_change", args=[target.pk]
    )


def online(connectivity: Mapping[str, Any]) -> SafeString:
    """By what `connectors.telling` tells."""
    known = {None: "unknown", True: "online", False: "offline"}
    return label(known[connectivity["is_connected"]])


def shorten_text(text: str, *, tone: str = "") -> SafeString | str:
    """A long text on one line, whole in its tooltip."""
    if not text:
        return NOTHING
    return format_html('<span class="sp-cut {}" title="{}">{}</span>', tone, text, text[:160])

"""Small pieces of markup that several pages share: icons, states, bars, times, links. All escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from connectors.models import Connector
from console.charts import draw_progress
from console.words import NOTHING, group_digits, moment_words, span_words
from datasets.models import Dataset, Version
from outbox.models import Stream
from syncjobs.core.states import State
from syncjobs.models import ItemAction, SyncJob, SyncRecord

# Of a state: the tone of its chip and its icon. Both are told, for a colour alone says nothing to many.
LOOKS: dict[str, tuple[str, str]] = {
    State.QUEUED: ("wait", "clock"),
    State.RUNNING: ("run", "run"),
    State.HELD: ("warn", "hand"),
    State.SUCCEEDED: ("ok", "ok"),
    State.PARTIAL: ("warn", "half"),
    State.FAILED: ("bad", "x"),
    State.TIMED_OUT: ("bad", "hourglass"),
    State.CANCELLED: ("none", "stop"),
    ItemAction.ADDED: ("ok", "plus"),
    ItemAction.CHANGED: ("wait", "pencil"),
    ItemAction.REMOVED: ("warn", "minus"),
    ItemAction.SKIPPED: ("none", "next"),
    "suspect": ("warn", "eye"),
    "plan": ("none", "plan"),
    "passed": ("ok", "ok"),
    "active": ("ok", "ok"),
    "live": ("ok", "ok"),
    "accepted": ("ok", "ok"),
    "current": ("ok", "ok"),
    "online": ("ok", "ok"),
    "offline": ("bad", "offline"),
    "unknown": ("none", "unknown"),
    "not watched": ("none", "unknown"),
    "circuit open": ("bad", "circuit"),
    "host key changed": ("bad", "key"),
    "firing": ("bad", "bell"),
    "paused": ("warn", "pause"),
    "syncing": ("run", "run"),
    "refused": ("bad", "x"),
    "blocked": ("bad", "hand"),
    "expired": ("warn", "clock"),
    "revoked": ("bad", "stop"),
    "open": ("wait", "clock"),
}
TONE_ICONS = {
    "ok": "ok",
    "wait": "clock",
    "run": "run",
    "warn": "warn",
    "bad": "x",
    "none": "info",
}
# A stalled heartbeat on a running record shows before the reaper acts.
STALE_HEARTBEAT_S = 15
_SIGNS = (
    ("plus", "added", "+"),
    ("tilde", "changed", "~"),
    ("minus", "removed", "-"),
    ("cross", "failed", "!"),
)


def icon(name: str, size: str = "") -> SafeString:
    """One of `console/icons.html`, beside its words. `size`: "s" for lines of small text."""
    return format_html(
        '<svg class="sp-i{}" aria-hidden="true"><use href="#i-{}"/></svg>',
        f" sp-i-{size}" if size else "",
        name,
    )


def find_tone(word: str | None) -> str:
    return LOOKS.get(word or "", ("none", ""))[0]


def label(word: str, tone: str | None = None, *, title: str = "") -> SafeString:
    """A state as a chip. `tone` of what is no state of ours: ok, wait, run, warn, bad, none."""
    known, drawn = LOOKS.get(word, ("none", ""))
    shown = tone or known
    return format_html(
        '<span class="sp-state sp-{}" title="{}">{}{}</span>',
        *(shown, title, icon(drawn or TONE_ICONS[shown], "s"), word.replace("_", " ")),
    )


def bar(percentage: float, name: str = "Done") -> SafeString:
    share = min(max(percentage, 0.0), 100.0)
    words = f"{share:.0f} %"
    return format_html(
        '<span class="sp-bar">{}<span class="sp-num">{}</span></span>',
        draw_progress(share / 100, label=name, words=words),
        words,
    )


def moment(at: datetime | None) -> SafeString | str:
    """How long ago or until, with the exact time in the tooltip; the page counts it on."""
    if at is None:
        return NOTHING
    now = timezone.now()
    return format_html(
        '<time class="sp-nowrap" datetime="{}" title="{} UTC" data-age="{}">{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S}",
        round((now - at).total_seconds()),
        moment_words(at, now),
    )


_CLOCKS = {
    "time": "%H:%M",
    "second": "%H:%M:%S",
    "minute": "%Y-%m-%d %H:%M",
    "full": "%Y-%m-%d %H:%M:%S",
}


def clock(at: datetime | None, precision: str = "minute") -> SafeString | str:
    """A time as text: in UTC, which the page turns into the person's own zone. `precision`: a key of `_CLOCKS`."""
    if at is None:
        return NOTHING
    in_utc = at.astimezone(UTC)
    return format_html(
        '<time class="sp-nowrap" datetime="{}" data-clock="{}">{} UTC</time>',
        *(in_utc.isoformat(), precision, in_utc.strftime(_CLOCKS[precision])),
    )


def heartbeat(record: SyncRecord) -> SafeString | str:
    if record.heartbeat_at is None:
        return NOTHING
    age_s = (timezone.now() - record.heartbeat_at).total_seconds()
    late = record.state == State.RUNNING and age_s > STALE_HEARTBEAT_S
    return format_html(
        '<span class="{}">{}</span>', "sp-bad" if late else "", moment(record.heartbeat_at)
    )


def seconds_taken(record: SyncRecord) -> float | None:
    """Returns how long its attempts worked, the running one included; None where none has begun. What a record is held,
    or waits between its attempts, is no work."""
    if record.claimed_at is None:
        return record.worked_s
    return (record.worked_s or 0.0) + (timezone.now() - record.claimed_at).total_seconds()


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
    shown = [
        (tone, word, sign, group_digits(count)) for (tone, word, sign), count in given if count
    ]
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
    view = "status" if isinstance(target, SyncJob) else "change"  # its settings are a tab
    return reverse(
        f"admin:{target._meta.app_label}_{target._meta.model_name}_{view}", args=[target.pk]
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

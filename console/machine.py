"""The first page's line of health: what `/health` judges, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from console.words import size_words, span_words
from datasets.seeing import StoreState, judge_store
from datasets.store import find_known_store
from datasets.store_room import find_room
from syncjobs.core.watching import SEEN_WITHIN_S, Level, PartHealth, PartSigns
from syncjobs.models import ProcessSign
from syncjobs.queries.installation import find_halted_hosts, judge_installation, read_signs
from syncjobs.upkeep.health import look_around

_TONES = {Level.FINE: "ok", Level.WARNING: "warn", Level.STARTING: "warn"}


@dataclass(frozen=True, slots=True)
class Line:
    part: str
    words: str
    tone: str = "ok"


@dataclass(frozen=True, slots=True)
class Health:
    """`words` is the judgement; the parts that are ill stand first."""

    tone: str
    words: str
    ill: Sequence[Line]
    well: Sequence[Line]


def tell_health(lines: Sequence[Line]) -> Health:
    ill = sorted((line for line in lines if line.tone != "ok"), key=lambda line: line.tone != "bad")
    well = [line for line in lines if line.tone == "ok"]
    if not ill:
        return Health("ok", "All parts work", (), well)
    first, count = ill[0], len(ill)
    words = "One part needs a look" if count == 1 else f"{count} parts need a look"
    return Health(first.tone, words, ill, well)


def describe_machine(*, whole: bool) -> list[Line]:
    """`whole`: also what tells of other workspaces' work, and of the disk."""
    with connection.cursor() as cursor:
        signs = read_signs(cursor)
    found = {finding.part: finding for finding in look_around(("redis",))} | {
        finding.part: finding for finding in judge_installation(signs)
    }
    halted = found["installation"]
    where = ", ".join(find_halted_hosts()) if whole and halted.level is not Level.FINE else ""
    lines = [
        *([_line("Restored", halted, where)] if halted.level is not Level.FINE else []),
        _line("Scheduler", found["scheduler"], _ago("last tick", signs.beat_s)),
        _line("Workers", found["workers"], _worker_words(signs, whole=whole)),
        _line("Messages", found["redis"], _message_words(found["redis"])),
        *(
            _line(f"Queue {part.partition(':')[2]}", finding, "its workers answer")
            for part, finding in found.items()
            if part.startswith("queue:")
        ),
    ]
    if (stores := found["worker_stores"]).level is not Level.FINE:
        lines.append(_line("Workers' store", stores, _hosts_without_store() if whole else ""))
    if found["reaper"].level is not Level.FINE:
        lines.append(_line("Clean-up", found["reaper"], _ago("last round", signs.reaper_s)))
    if whole:
        lines += [_line("Oldest queued", found["queued"], _queued_words(signs)), _describe_disk()]
    return lines


def _line(part: str, finding: PartHealth, words: str) -> Line:
    tone = _TONES.get(finding.level, "bad")
    if finding.level is Level.FINE:
        return Line(part, words)
    if finding.part.startswith("queue:"):
        return Line(part, f"{finding.word} for {span_words(finding.age_s)}", tone)
    return Line(part, f"{finding.word}: {words}" if words else finding.word, tone)


def _ago(what: str, age_s: float | None) -> str:
    return (
        f"no {what.removeprefix('last ')} yet"
        if age_s is None
        else f"{what} {span_words(age_s)} ago"
    )


def _worker_words(signs: PartSigns, *, whole: bool) -> str:
    if not signs.workers:
        return _ago("last one seen", signs.worker_s)
    draining = f", {signs.draining} draining" if signs.draining else ""
    slots = f", {signs.busy} of {signs.slots} slots in use" if whole else ""
    return f"{signs.workers}{_of_expected()} alive{draining}{slots}"


def _of_expected() -> str:
    """How many workers this machine was started with; nothing where they run elsewhere."""
    expected: int = settings.WORKERS_EXPECTED
    return f" of {expected}" if expected else ""


def _message_words(finding: PartHealth) -> str:
    return (
        "Redis takes them"
        if finding.level is Level.FINE
        else "records wait until Redis takes messages again"
    )


def _queued_words(signs: PartSigns) -> str:
    if signs.oldest_queued_s is None:
        return "nothing waits"
    return f"waits for {span_words(signs.oldest_queued_s)}"


def _hosts_without_store() -> str:
    alive = ProcessSign.objects.filter(
        part="worker", seen_at__gt=Now() - timedelta(seconds=SEEN_WITHIN_S)
    )
    away = alive.exclude(store_id=find_known_store()) | alive.filter(store_id=None)
    hosts = away.order_by("host").values_list("host", flat=True).distinct()
    return f"no record is taken on {', '.join(hosts)}"


def _describe_disk() -> Line:
    state = judge_store(find_known_store())
    if state is not StoreState.RIGHT:
        return Line("Store", _STORE_WORDS[state], "bad")
    room = find_room()
    if room is None:
        return Line("Store", _STORE_WORDS[StoreState.SILENT], "bad")
    words = f"{size_words(room.free_bytes)} free of {size_words(room.size_bytes)}"
    if room.is_short:
        return Line("Disk", f"{words}: new work waits", "warn")
    return Line("Disk", words)


_STORE_WORDS = {
    StoreState.MISSING: "not mounted on the web server: files cannot be downloaded",
    StoreState.FOREIGN: "the web server has another store than the database knows",
    StoreState.SILENT: "its disk does not answer the web server",
    StoreState.UNREADABLE: "the web server cannot read it",
    StoreState.UNKNOWN: "the database knows none: run manage.py prepare",
}

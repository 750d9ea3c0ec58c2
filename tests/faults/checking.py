"""The judge of a run. It knows the rules, the sources' history and what is in SQL and on disk, and
imports nothing of the product."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from tests.faults.evidence import Entry, Evidence, Note
from tests.faults.sources import ABSENT, PathHistory

CANCEL_S = 20.0  # beside the outages that fell into its time
CLOCK_S = 20.0  # between an event's time and the database's, which every process is to go by
FIRE_SLACK_S = 5.0  # the last fires before the jobs were switched off may not have been served


@dataclass(frozen=True, slots=True)
class Finding:
    """A promise that was not kept: which, of what, and what shows it."""

    rule: str
    subject: str
    evidence: str


class Source(Protocol):
    @property
    def paths(self) -> dict[str, PathHistory]: ...


class Job(Protocol):
    """What a job was told to do."""

    @property
    def id(self) -> uuid.UUID: ...
    @property
    def dataset_id(self) -> uuid.UUID: ...
    @property
    def workspace_id(self) -> uuid.UUID: ...
    @property
    def source(self) -> Source: ...
    @property
    def every_s(self) -> int: ...
    @property
    def first_fire(self) -> float: ...
    @property
    def name(self) -> str: ...


@dataclass(slots=True)
class Claim:
    """A worker's time with a record, as the history has it."""

    record: uuid.UUID
    token: int
    process: str
    began: Note
    ended: Note | None = None

    @property
    def key(self) -> tuple[uuid.UUID, int]:
        return self.record, self.token


@dataclass(slots=True)
class Checked:
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def find(self, rule: str, subject: object, evidence: str) -> None:
        self.findings.append(Finding(rule, str(subject), evidence))


def check(evidence: Evidence, jobs: Sequence[Job], *, off_at: float) -> Checked:
    """Everything that SQL, store and sources can tell. `off_at`: when the jobs were switched off."""
    checked = Checked()
    claims = check_leases(checked, evidence.history)
    check_writers(checked, evidence.history, claims)
    check_fires(checked, evidence, jobs, off_at)
    check_records(checked, evidence)
    for job in jobs:
        check_versions(checked, evidence, job)
        check_states(checked, evidence, job, claims)
    return checked


# Leases and writers.


def check_leases(checked: Checked, history: Iterable[Note]) -> dict[uuid.UUID, list[Claim]]:
    """Of each dataset: tokens grow, and a claim ends before the next begins. Its claims, in order."""
    claims: dict[uuid.UUID, list[Claim]] = defaultdict(list)
    finals: dict[uuid.UUID, Note] = {}
    for note in history:
        if note.what != "event" or note.dataset is None or note.record is None:
            continue
        if abs(float(note.data.get("late", 0))) > CLOCK_S:
            checked.find(
                "event.wrong_time", note.record, f"{note.event} is off by {note.data['late']} s"
            )
        if note.record in finals and note.event not in ("coalesced",):
            was = finals[note.record]
            checked.find(
                "record.moved_after_end",
                note.record,
                f"{note.event} by {note.process} after {was.event} by {was.process}",
            )
        if note.data.get("to") in ("succeeded", "partial", "failed", "timed_out", "cancelled"):
            finals[note.record] = note
        known = claims[note.dataset]
        holder = known[-1] if known and known[-1].ended is None else None
        if note.event == "claimed":
            _check_claim(checked, note, holder, known)
            known.append(Claim(note.record, note.token, note.process, note))
        elif note.data.get("from") == "running":
            if holder is None or holder.record != note.record:
                checked.find(
                    "lease.ended_without_claim", note.record, f"{note.event} by {note.process}"
                )
            else:
                holder.ended = note
    return claims


def _check_claim(checked: Checked, note: Note, holder: Claim | None, known: list[Claim]) -> None:
    if holder is not None:
        checked.find(
            "lease.two_holders",
            note.dataset,
            f"{note.process} claimed {note.record} at token {note.token} while {holder.process}"
            f" held {holder.record} at token {holder.token}",
        )
    if known and note.token <= known[-1].token:
        checked.find("lease.token_not_grown", note.dataset, f"{note.token} after {known[-1].token}")


# Who may move a record out of its claim besides the one that holds it.
_OTHERS = ("lease_expired", "quarantined", "stopped")


def check_writers(
    checked: Checked, history: Iterable[Note], claims: dict[uuid.UUID, list[Claim]]
) -> None:
    """Whatever an attempt writes, it writes by its own process, at the token that is in force, before
    its claim ends."""
    by_key = {claim.key: claim for known in claims.values() for claim in known}
    for note in history:
        if note.what in ("version", "receipts", "ledger"):
            _check_attempt(checked, note, by_key)
        elif note.what == "heartbeat" and note.record is not None:
            claim = by_key.get((note.record, note.token))
            if claim is None or claim.process != note.process:
                _stale(checked, note, claim, f"at token {note.token}")
    for claim in by_key.values():
        ended = claim.ended
        if ended is None:
            checked.find("lease.never_ended", claim.record, f"token {claim.token}")
        elif ended.event not in _OTHERS and ended.process != claim.process:
            _stale(checked, ended, claim, f"ended it as {ended.event}")


def _check_attempt(
    checked: Checked, note: Note, by_key: dict[tuple[uuid.UUID, int], Claim]
) -> None:
    if note.attempt is None:
        checked.find("fence.unknown_writer", note.record, f"{note.what} by {note.session!r}")
        return
    claim = by_key.get(note.attempt)
    token = note.attempt[1]
    if claim is None or claim.process != note.process or note.record != claim.record:
        _stale(checked, note, claim, f"at token {token}")
    elif note.fence != token:
        _stale(checked, note, claim, f"at token {token}, when {note.fence} was in force")
    elif claim.ended is not None and note.committed_at > claim.ended.committed_at:
        late_s = note.committed_at - claim.ended.committed_at
        _stale(checked, note, claim, f"committed {late_s:.3f} s after {claim.ended.event}")


def _stale(checked: Checked, note: Note, claim: Claim | None, words: str) -> None:
    holder = f"held by {claim.process}" if claim else "held by nobody"
    checked.find(
        "fence.stale_writer", note.record, f"{note.what} by {note.process} {words}; {holder}"
    )


# Fires and records.


def check_fires(checked: Checked, evidence: Evidence, jobs: Sequence[Job], off_at: float) -> None:
    """Each fire has one record, or is told as served by another, or as passed over."""
    fires: dict[uuid.UUID, Counter[int]] = defaultdict(Counter)
    for record in evidence.records:
        if record.fire is not None:
            fires[record.job][_ms(record.fire)] += 1
    served = _served_by_others(evidence)
    due = missed = 0
    for job in jobs:
        coalesced, gaps = served[job.dataset_id]
        for fire, count in fires[job.id].items():
            if count > 1:
                checked.find("fire.doubled", job.name, f"{count} records of {_clock(fire)}")
        for fire in _fires_of(job, off_at):
            due += 1
            between = any(after < fire < before for after, before in gaps)
            missed += between
            if fire not in fires[job.id] and fire not in coalesced and not between:
                checked.find("fire.lost", job.name, f"nothing is told of {_clock(fire)}")
    lags = _lags(checked, evidence.history)
    checked.figures["fires"] = (
        f"{due} due, {sum(map(len, fires.values()))} with a record of their own,"
        f" {missed} told as passed over; a record follows its time by"
        f" {_share(lags, 0.5):.2f} s (median), {_share(lags, 0.99):.2f} s (p99)"
    )


def _fires_of(job: Job, off_at: float) -> Iterator[int]:
    fire_at = job.first_fire
    while fire_at < off_at - FIRE_SLACK_S:
        yield _ms(fire_at)
        fire_at += job.every_s


def _lags(checked: Checked, history: Iterable[Note]) -> list[float]:
    lags = []
    for note in history:
        if note.what == "queued" and note.data.get("fire") is not None:
            lags.append(note.at - float(note.data["fire"]))
            if lags[-1] < 0:
                checked.find("fire.early", note.record, f"{-lags[-1]:.3f} s before its time")
    return sorted(lags)


def _served_by_others(
    evidence: Evidence,
) -> dict[uuid.UUID, tuple[set[int], list[tuple[int, int]]]]:
    """Of each dataset: fires that another record serves, and stretches of fires that are told as passed
    over (both ends excluded)."""
    served: dict[uuid.UUID, tuple[set[int], list[tuple[int, int]]]] = defaultdict(
        lambda: (set(), [])
    )
    for note in evidence.history:
        if note.event != "coalesced" or note.dataset is None:
            continue
        data = note.data.get("data") or {}
        if data.get("fire"):
            served[note.dataset][0].add(_moment(data["fire"]))
        if data.get("missed"):
            served[note.dataset][1].append((_moment(data["first"]) - 1, _moment(data["last"]) + 1))
    return served


def _moment(text: str) -> int:
    return _ms(datetime.fromisoformat(text).timestamp())


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _clock(fire_ms: int) -> str:
    return datetime.fromtimestamp(fire_ms / 1000).astimezone().isoformat(timespec="milliseconds")


def check_records(checked: Checked, evidence: Evidence) -> None:
    for record in evidence.records:
        if not record.finished:
            checked.find("record.not_final", record.id, f"still {record.state}")
        if record.error_code == "internal":
            checked.find("record.internal_error", record.id, record.error)
    states = Counter(record.state for record in evidence.records)
    checked.figures["records"] = ", ".join(
        f"{count} {state}" for state, count in states.most_common()
    )
    events = Counter(note.event for note in evidence.history if note.what == "event")
    checked.figures["events"] = ", ".join(f"{count} {event}" for event, count in events.items())
    errors = Counter(
        record.error.partition(":")[0][:60] for record in evidence.records if record.error
    )
    checked.figures["errors"] = ", ".join(f"{n} x {text}" for text, n in errors.most_common(6))


# Versions.


def check_versions(checked: Checked, evidence: Evidence, job: Job) -> None:
    """Numbers without a gap, one current, counts that agree, and every blob whole."""
    versions = [version for version in evidence.versions if version.dataset == job.dataset_id]
    entries = evidence.entries.get(job.dataset_id, [])
    if [version.number for version in versions] != list(range(1, len(versions) + 1)):
        checked.find("version.gap", job.name, f"{[version.number for version in versions]}")
    if versions and [version.number for version in versions if version.is_current] != [
        len(versions)
    ]:
        checked.find("version.current", job.name, "not the last one, or not one")
    for version in versions:
        tree = tree_of(entries, version.number)
        size_bytes = sum(entry.size_bytes for entry in tree.values())
        if (len(tree), size_bytes) != (version.file_count, version.size_bytes):
            checked.find(
                "version.counts",
                f"{job.name} v{version.number}",
                f"{version.file_count} files, {version.size_bytes} bytes told;"
                f" {len(tree)} files, {size_bytes} bytes held",
            )
    for sha256, size_bytes in {(entry.sha256, entry.size_bytes) for entry in entries}:
        blob = evidence.blobs[job.workspace_id, sha256]
        if blob.problem or blob.size_bytes != size_bytes:
            rule = "blob_missing" if blob.problem.startswith("missing") else "blob_differs"
            checked.find(f"version.{rule}", f"{job.name} {sha256.hex()[:16]}…", blob.problem)


def tree_of(entries: Iterable[Entry], number: int) -> dict[str, Entry]:
    return {
        entry.path: entry
        for entry in entries
        if entry.since <= number and (entry.until is None or entry.until > number)
    }


def check_states(
    checked: Checked, evidence: Evidence, job: Job, claims: dict[uuid.UUID, list[Claim]]
) -> None:
    """Each version when it was published, and each record's when it ended well, is what the source held
    meanwhile: of each path, something that it held between the attempt's beginning and then."""
    by_key = {claim.key: claim for claim in claims.get(job.dataset_id, [])}
    records = {record.id: record for record in evidence.records if record.job == job.id}
    entries = evidence.entries.get(job.dataset_id, [])
    troubled = _troubled(evidence.history, job.dataset_id)
    for note in evidence.history:
        if note.dataset != job.dataset_id:
            continue
        if note.what == "version" and note.attempt is not None:
            key, number = note.attempt, int(note.data["number"])
        elif (
            note.event in ("succeeded", "partly_succeeded")
            and note.record in records
            and (version := records[note.record].version) is not None
        ):
            key, number = (note.record, note.token), version
        else:
            continue
        claim = by_key.get(key)
        if claim is None:
            continue  # a stale writer: told elsewhere
        look = (claim.began.at, note.at)
        tree = tree_of(entries, number)
        for path, words in _strangers(job.source, tree, look, troubled.get(key, set())):
            checked.find(
                "version.not_a_state",
                f"{job.name} v{number} {path}",
                f"{words} between {look[0]:.3f} and {look[1]:.3f} ({note.what} of {key[0]})",
            )


def _troubled(history: Iterable[Note], dataset: uuid.UUID) -> dict[tuple[uuid.UUID, int], set[str]]:
    """Paths that an attempt told of as failed, skipped or left for later: what is held of them stays."""
    told: dict[tuple[uuid.UUID, int], set[str]] = defaultdict(set)
    for note in history:
        if note.what == "ledger" and note.dataset == dataset and note.attempt is not None:
            told[note.attempt] |= set(note.data["troubled"])
    return told


def _strangers(
    source: Source, tree: dict[str, Entry], look: tuple[float, float], troubled: set[str]
) -> Iterator[tuple[str, str]]:
    """Paths of a version that the source did not have so, and what is wrong with each."""
    for path in sorted(set(tree) | set(source.paths)):
        history = source.paths.get(path) or PathHistory([ABSENT])
        held = tree[path].sha256 if path in tree else None
        # A folder that could not be read stands for all below; nothing is removed then.
        is_told = any(path == one or path.startswith(f"{one}/") for one in troubled)
        seen = history.until(look[1]) if is_told or (troubled and held) else history.during(*look)
        if held not in {state.sha256 for state in seen}:
            ever = held in {state.sha256 for state in history.states}
            what = held.hex()[:16] if held else "nothing"
            yield path, f"held as {what}, which it {'was not' if ever else 'never was'}"


# What only the runner saw.


def check_cancels(
    checked: Checked,
    evidence: Evidence,
    asked: Iterable[tuple[uuid.UUID, float]],
    outages: Sequence[tuple[float, float]],
    grace_s: float,
) -> None:
    """Who asks for the end of a record gets it soon, whoever is dead. `grace_s` is added after an outage."""
    ends: dict[uuid.UUID, float] = {}
    for note in evidence.history:
        final = note.data.get("to") in ("succeeded", "partial", "failed", "timed_out", "cancelled")
        if note.what == "event" and note.record is not None and final:
            ends.setdefault(note.record, note.at)
    took: list[float] = []
    for record, at in asked:
        if record not in ends:
            continue  # not final: told elsewhere
        took.append(ends[record] - at)
        bound = CANCEL_S + sum(
            until - begin + grace_s
            for begin, until in outages
            if begin <= ends[record] and until >= at
        )
        if took[-1] > bound:
            checked.find("cancel.late", record, f"after {took[-1]:.1f} s")
    took.sort()
    if took:
        checked.figures["cancels"] = (
            f"{len(took)}, median {_share(took, 0.5):.1f} s, longest {took[-1]:.1f} s"
        )


def check_living(
    checked: Checked,
    history: Iterable[Note],
    hurt: Sequence[tuple[str, float, float]],
    outages: Sequence[tuple[float, float]],
    lease_s: float,
) -> None:
    """No lease runs out under a worker that was not hurt, with the database there. `hurt` are processes,
    each from when to when."""
    for known in check_leases(Checked(), history).values():
        for claim in known:
            ended = claim.ended
            if ended is None or ended.event not in ("lease_expired", "quarantined"):
                continue
            since = ended.at - 3 * lease_s  # it may have been renewed for the last time so long ago
            causes = [(begin, until) for name, begin, until in hurt if name == claim.process]
            if not any(
                begin <= ended.at and until >= since for begin, until in [*causes, *outages]
            ):
                words = f"{claim.process} was not hurt, and the database was there"
                checked.find("lease.taken_from_living", claim.record, words)


@dataclass(frozen=True, slots=True)
class Takeover:
    """Seconds from the end of a record's worker until it was taken back, and until its next claim; None
    where it was over by then, cancelled or out of crashes."""

    taken_back_s: float
    claimed_s: float | None = None


def find_takeovers(history: Iterable[Note], deaths: Iterable[tuple[str, float]]) -> list[Takeover]:
    """Of each record that a process held when it died."""
    died = dict(deaths)
    held: dict[uuid.UUID, Note] = {}  # claimed, and not ended by who claimed
    waiting: dict[uuid.UUID, tuple[float, Takeover]] = {}
    found: list[Takeover] = []
    for note in history:
        if note.what != "event" or note.record is None:
            continue
        if note.event == "claimed":
            held[note.record] = note
            if note.record in waiting:
                at, takeover = waiting.pop(note.record)
                found.append(replace(takeover, claimed_s=note.at - at))
        elif note.data.get("from") == "running" and note.record in held:
            holder = held.pop(note.record)
            died_at = died.get(holder.process)
            if died_at is not None and holder.at < died_at < note.at:
                waiting[note.record] = died_at, Takeover(note.at - died_at)
    return found + [takeover for _, takeover in waiting.values()]


def _share(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of an ordered list lies (nearest rank)."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def distribution(values: Iterable[float]) -> str:
    ordered = sorted(values)
    if not ordered:
        return "none"
    points = [("min", 0.0), ("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)]
    words = ", ".join(f"{name} {_share(ordered, at):.1f} s" for name, at in points)
    return f"{len(ordered)}: {words}"

"""What will happen in a run: a pure function of its seed, so that a run can be replayed."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

WORKSPACES = 3
HOSTS = 12  # far ends behind a proxy of their own; every other one speaks HTTP
JOBS = 36
FILES = 40  # of a source at the start
NAMES = 60  # that a source may ever have
WORKERS = 4
BEATS = 2
INDEXERS = 1
TEXTS = 5  # one name in so many is a text, which is indexed
CLOCK_WORKER = 0  # the one whose clock jumps


class Kind(StrEnum):
    KILL_WORKER = "kill_worker"  # SIGKILL, replaced after `lasts_s`
    KILL_AT = "kill_at"  # SIGKILL at a named point of its work
    STOP_WORKER = "stop_worker"  # SIGSTOP, SIGCONT after `lasts_s`
    STOP_AT = "stop_at"
    CRASH_AT = "crash_at"  # as if its machine had lost power
    DRAIN_WORKER = "drain_worker"  # SIGTERM, replaced at once
    KILL_BEAT = "kill_beat"
    STOP_BEAT = "stop_beat"
    KILL_INDEX = "kill_index"  # SIGKILL, replaced after `lasts_s`
    STOP_INDEX = "stop_index"
    FLUSH_BROKER = "flush_broker"
    KILL_BROKER = "kill_broker"  # SIGKILL, back without memory after `lasts_s`
    RESTART_DATABASE = "restart_database"  # immediate: as if its machine had failed
    CUT_SESSIONS = "cut_sessions"  # every session with the database
    FILL_DISK = "fill_disk"
    JUMP_CLOCK = "jump_clock"
    CANCEL = "cancel"  # by a person
    HOST_CUT = "host_cut"  # connections are reset, once
    HOST_CUTS = "host_cuts"  # each after so many bytes
    HOST_STALLS = "host_stalls"
    HOST_DEAF = "host_deaf"  # half-open: what is sent is lost
    HOST_SLOW = "host_slow"
    HOST_FAR = "host_far"  # every piece comes late
    HOST_REFUSES = "host_refuses"


POINTS = (
    "claim.after",  # of the claiming transaction
    "pack.renamed",  # a pack has its name, the index does not know it
    "keep.stored",  # blobs are durable, their receipts are not written
    "keep.receipted",
    "publish.before",
    "publish.after",  # the version is committed, the record is not finished
    "finish.before",
)

# How often a kind is in the deck that faults are dealt from.
_OFTEN = (Kind.KILL_WORKER, Kind.KILL_AT, Kind.STOP_AT, Kind.KILL_INDEX, Kind.CANCEL)
_DECK = {kind: 2 if kind in _OFTEN else 1 for kind in Kind}
_AT_POINTS = (Kind.KILL_AT, Kind.STOP_AT, Kind.CRASH_AT)
_LASTS_S = {
    Kind.KILL_WORKER: (0.0, 2.0),
    Kind.KILL_AT: (0.0, 1.0),
    Kind.STOP_WORKER: (6.0, 12.0),  # 1.5 to 3 leases
    Kind.STOP_AT: (6.0, 12.0),
    Kind.CRASH_AT: (0.0, 1.0),
    Kind.KILL_BEAT: (0.5, 4.0),
    Kind.STOP_BEAT: (3.0, 10.0),
    Kind.KILL_INDEX: (0.0, 3.0),
    Kind.STOP_INDEX: (3.0, 10.0),
    Kind.KILL_BROKER: (0.2, 4.0),
    Kind.RESTART_DATABASE: (0.0, 4.0),
    Kind.FILL_DISK: (3.0, 8.0),
    Kind.JUMP_CLOCK: (5.0, 15.0),
    Kind.HOST_CUTS: (3.0, 10.0),
    Kind.HOST_STALLS: (2.0, 9.0),
    Kind.HOST_DEAF: (2.0, 9.0),
    Kind.HOST_SLOW: (5.0, 15.0),
    Kind.HOST_FAR: (5.0, 15.0),
    Kind.HOST_REFUSES: (2.0, 8.0),
}
_GAP_S = (0.8, 3.2)


@dataclass(frozen=True, slots=True)
class Fault:
    """`target` is a number that whoever injects takes modulo what there is to be hit."""

    number: int
    at_s: float
    kind: Kind
    target: int
    lasts_s: float = 0.0
    point: str = ""
    amount: int = 0  # bytes, bytes a second, milliseconds or seconds, as the kind has it

    def describe(self) -> str:
        words = [f"{self.number:3} {self.at_s:7.2f} s  {self.kind:16} target {self.target:3}"]
        words += [f"for {self.lasts_s:.1f} s"] if self.lasts_s else []
        words += [f"at {self.point}"] if self.point else []
        words += [f"amount {self.amount}"] if self.amount else []
        return "  ".join(words)


@dataclass(frozen=True, slots=True)
class Change:
    """A source's file is written (`size_bytes`, `again` times more at once) or taken away (None)."""

    number: int
    at_s: float
    source: int
    path: str
    size_bytes: int | None
    again: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    seconds: float
    every_s: tuple[int, ...]  # by job
    faults: tuple[Fault, ...]
    changes: tuple[Change, ...]


def make_plan(
    seed: int,
    seconds: float,
    kinds: Collection[Kind] = tuple(Kind),
    points: Sequence[str] = POINTS,
) -> Plan:
    """Faults of these kinds, dealt from shuffled decks so that each kind comes before any comes again
    too often; the same for the same arguments."""
    chance = random.Random(f"{seed} jobs")  # noqa: S311 — to be repeated
    every_s = tuple(chance.choice((2, 3, 5, 6, 7, 9, 11, 13)) for _ in range(JOBS))
    faults = tuple(_deal(seed, seconds, kinds, points))
    return Plan(seed, seconds, every_s, faults, tuple(_edit(seed, seconds)))


def size_of(chance: random.Random) -> int:
    """Mostly small ones, which are packed, and some with a file of their own in the store."""
    roll = chance.random()
    if roll < 0.03:
        return 0
    if roll < 0.7:
        return chance.randrange(1, 8_000)
    if roll < 0.95:
        return chance.randrange(8_000, 60_000)
    return chance.randrange(66_000, 300_000)


def name_of(number: int) -> str:
    kind = "txt" if number % TEXTS == 1 else "bin"
    return f"folder-{number % 4}/{number:03}.{kind}" if number % 3 else f"{number:03}.{kind}"


def _deal(seed: int, seconds: float, kinds: Collection[Kind], points: Sequence[str]) -> list[Fault]:
    chance = random.Random(f"{seed} faults")  # noqa: S311 — to be repeated
    deck: list[Kind] = []
    faults: list[Fault] = []
    at_s = 2.0
    while at_s < seconds and kinds:
        if not deck:
            deck = [kind for kind in Kind if kind in kinds for _ in range(_DECK[kind])]
            chance.shuffle(deck)
        kind = deck.pop()
        faults.append(
            Fault(
                number=len(faults) + 1,
                at_s=round(at_s, 2),
                kind=kind,
                target=chance.randrange(HOSTS),
                lasts_s=round(chance.uniform(*_LASTS_S[kind]), 2) if kind in _LASTS_S else 0.0,
                point=chance.choice(points) if kind in _AT_POINTS else "",
                amount=_amount(kind, chance),
            )
        )
        at_s += chance.uniform(*_GAP_S)
    return faults


def _amount(kind: Kind, chance: random.Random) -> int:
    match kind:
        case Kind.HOST_CUTS:
            return chance.choice((0, 700, 5_000, 50_000, 200_000))
        case Kind.HOST_SLOW:
            return chance.choice((20_000, 60_000, 150_000))
        case Kind.HOST_FAR:
            return chance.choice((20, 100, 300))
        case Kind.JUMP_CLOCK:
            return chance.choice((-7_200, -45, 45, 7_200, 86_400))
    return 0


def _edit(seed: int, seconds: float) -> list[Change]:
    """Each source changes every few seconds. Never so many removals that none would stay."""
    changes: list[Change] = []
    for source in range(JOBS):
        chance = random.Random(f"{seed} source {source}")  # noqa: S311 — to be repeated
        present = set(range(FILES))
        at_s = chance.uniform(0, 6)
        while at_s < seconds:
            number = chance.randrange(NAMES)
            removal = number in present and len(present) > FILES - 8 and chance.random() < 0.3
            if removal:
                present.discard(number)
            else:
                present.add(number)
            changes.append(
                Change(
                    number=len(changes),
                    at_s=round(at_s, 3),
                    source=source,
                    path=name_of(number),
                    size_bytes=None if removal else size_of(chance),
                    again=0 if removal or chance.random() < 0.7 else chance.randrange(1, 4),
                )
            )
            at_s += chance.uniform(1, 8)
    return sorted(changes, key=lambda change: change.at_s)

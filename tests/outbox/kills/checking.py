"""What must hold after a kill run, read from two sources only: the client system's logs and the senders' notes.

It knows nothing of the product: no table, no module.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REJECTED_EVERY = 97  # such a reading is refused by name, on purpose
SHOWN_MAX = 5


def key_name(prefix: str, number: int) -> str:
    return f"{prefix}:{number:09}"


@dataclass(frozen=True, slots=True)
class Sender:
    prefix: str
    log: Path


@dataclass(slots=True)
class Checked:
    findings: list[str] = field(default_factory=list)
    acknowledged: int = 0
    received: int = 0
    rejected: int = 0
    doubled: int = 0
    sent_again: int = 0  # tries of a batch after its first


def check(taken_log: Path, tries_log: Path, senders: list[Sender]) -> Checked:
    checked = Checked()
    batches = list(_read(taken_log))
    acknowledged = {key for sender in senders for key in _acknowledged(sender)}
    counts = Counter(key for batch in batches for key in [*batch["keys"], *batch["again"]])
    rejected = {item["key"] for batch in batches for item in batch["answer"].get("rejected", ())}
    checked.acknowledged, checked.received, checked.rejected = (
        len(acknowledged), len(counts), len(rejected),
    )  # fmt: skip
    checked.doubled = sum(counts.values()) - len(counts)
    _tell(checked, "lost", acknowledged - counts.keys() - rejected)
    _tell(checked, "doubled", {key for key, count in counts.items() if count > 1})
    _tell(checked, "refused for nothing", {key for key in rejected if not _is_rejected(key)})
    _tell(checked, "taken and refused", rejected & counts.keys())
    _check_bytes(checked, batches, list(_read(tries_log)))
    _check_order(checked, batches)
    return checked


def _check_bytes(
    checked: Checked, batches: list[dict[str, Any]], tries: list[dict[str, Any]]
) -> None:
    """One key, one content, however often it came."""
    contents: dict[str, set[str]] = {}
    for attempt in tries:
        contents.setdefault(attempt["id"], set()).add(attempt["sha256"])
    for batch in batches:
        contents.setdefault(batch["batch"], set()).add(batch["sha256"])
    checked.sent_again = len(tries) - len({attempt["id"] for attempt in tries})
    _tell(checked, "sent again with other bytes", {key for key, of in contents.items() if len(of) > 1})  # fmt: skip


def _check_order(checked: Checked, batches: list[dict[str, Any]]) -> None:
    """Within a stream the numbers follow one another without a gap, and each sender's keys rise."""
    ends: dict[str, int] = {}
    latest: dict[tuple[str, str], str] = {}
    wrong: set[str] = set()
    for batch in batches:
        stream = batch["stream"]
        if batch["from"] != ends.get(stream, 0) + 1:
            wrong.add(f"{stream}: {batch['from']} after {ends.get(stream, 0)}")
        ends[stream] = batch["to"]
        for key in batch["keys"]:
            place = (stream, key.partition(":")[0])
            if key <= latest.get(place, ""):
                wrong.add(f"{key} after {latest[place]}")
            latest[place] = key
    _tell(checked, "out of order", wrong)


def _tell(checked: Checked, what: str, found: set[str]) -> None:
    if found:
        shown = ", ".join(sorted(found)[:SHOWN_MAX])
        checked.findings.append(f"{what}: {len(found)} ({shown})")


def _is_rejected(key: str) -> bool:
    return int(key.partition(":")[2]) % REJECTED_EVERY == 0


def _acknowledged(sender: Sender) -> Iterator[str]:
    lines = sender.log.read_text(encoding="ascii").splitlines() if sender.log.exists() else []
    for line in lines:
        first, last = map(int, line.split())
        for number in range(first, last + 1):
            yield key_name(sender.prefix, number)


def _read(log: Path) -> Iterator[dict[str, Any]]:
    """A line that a kill cut short is none: it was never answered."""
    lines = log.read_bytes().splitlines(keepends=True) if log.exists() else []
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue

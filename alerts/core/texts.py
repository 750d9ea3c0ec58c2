"""Titles and messages: fixed sentences, into which names and errors of others go only as harmless single lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINE_MAX = 200
BODY_MAX = 3_500
_BREAK = "\u200b"  # zero width: it is not seen, and what it stands in is no mention any more
# Where chat programs see a mention, a link or a tag begin.
_MENTION = re.compile(
    r"@(?=everyone|here|channel|all\b)|(?<!\w)@(?=\w)|<(?=[!@#/A-Za-z])", re.IGNORECASE
)
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # of Unicode's categories

_HAPPENED = {
    "failure": "{name} failed",
    "failures_in_a_row": "{name} failed several times in a row",
    "held": "{name} waits for a decision",
    "suspect": "{name} synced much less or more than usual",
    "overdue": "{name} takes longer than expected",
    "nothing_ran": "{name} has not run",
    "error_rate": "{name} has too many failed records",
    "offline": "{name} does not answer",
    "dead_letters": "{name} has dead letters",
    "index_behind": "the search index of {name} is behind",
    "disk": "the disk of the store is nearly full",
}
_SAID = {
    "opened": "[{severity}] {happened}",
    "still_firing": "[{severity}] still: {happened}",
    "recovered": "[recovered] {happened}",
    "opened_and_recovered": "[recovered] opened and recovered: {happened}",
    "flapping": "[{severity}] {name} changes often; the next message comes when it is steady",
    "settled": "[{severity}] {name} is steady again: {state}",
}


def clean_line(text: str, limit: int = LINE_MAX) -> str:
    """One line without control and bidirectional characters. What others wrote stays readable, and changes nothing."""
    words = "".join(
        " " if sign.isspace() else "" if unicodedata.category(sign) in _DROPPED else sign
        for sign in text[: 4 * limit]
    )
    line = " ".join(words.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def break_mentions(text: str) -> str:
    return _MENTION.sub(lambda found: found[0] + _BREAK, text)


def title_of(item: Mapping[str, Any]) -> str:
    """One line about one alert, as it stands in `alerts` of a message."""
    name = clean_line(str(item["subject"]["name"]), 120)
    happened = _HAPPENED.get(item["kind"], "{name}").format(name=name)
    said = _SAID.get(item["tell"], "{happened}")
    line = said.format(
        severity=item["severity"],
        happened=happened,
        name=name,
        state="it fires" if item["state"] == "firing" else "it is fine",
    )
    return break_mentions(clean_line(line))


def make_title(items: Sequence[Mapping[str, Any]], more: int) -> str:
    """Of one alert, what happened; of several, how many, and the names of the first."""
    if len(items) == 1 and not more:
        return title_of(items[0])
    worst = max((str(item["severity"]) for item in items), key=_rank)
    is_over = all(item["state"] != "firing" for item in items)
    names = ", ".join(dict.fromkeys(clean_line(item["subject"]["name"], 40) for item in items[:5]))
    label = "recovered" if is_over else worst
    return break_mentions(clean_line(f"[{label}] {len(items) + more} alerts: {names}"))


def make_message(items: Sequence[Mapping[str, Any]], more: int, delivery: str) -> str:
    """What happened, why, and where to look; the last line is the delivery's key."""
    tail = [f"and {more} more alerts, which the console shows"] if more else []
    lines: list[str] = []
    left = BODY_MAX - sum(len(line) + 1 for line in (*tail, end_line(delivery))) - 60
    for count, item in enumerate(items):
        told = _lines_of(item, single=len(items) == 1)
        cost = sum(len(line) + 1 for line in told)
        if cost > left:
            lines.append(f"and {len(items) - count} more alerts that are not named here")
            break
        left -= cost
        lines += told
    return "\n".join([*lines, *tail, end_line(delivery)])


@dataclass(frozen=True, slots=True)
class DigestLine:
    """The alerts of one rule that were not sent singly, by the names of their subjects."""

    severity: str
    rule: str
    names: Sequence[str]


def make_digest(counts: Sequence[DigestLine], delivery: str) -> tuple[str, str]:
    """Title and message of what was not sent singly."""
    total = sum(len(one.names) for one in counts)
    title = f"[digest] {total} further alerts"
    lines = ["The channel had as many messages within an hour as it may have. What came then:"]
    left = BODY_MAX - len(lines[0]) - len(end_line(delivery)) - 40
    for one in counts:
        shown = ", ".join(clean_line(name, 40) for name in one.names[:5])
        line = f"{len(one.names)} of rule {clean_line(one.rule, 60)} [{one.severity}]: {shown}"
        line = break_mentions(clean_line(line))
        if len(line) + 1 > left:
            lines.append("and further rules")
            break
        left -= len(line) + 1
        lines.append(line)
    return title, "\n".join([*lines, end_line(delivery)])


def make_test(channel: str, delivery: str) -> tuple[str, str]:
    title = break_mentions(clean_line(f"[test] channel {channel} works"))
    lines = ["This is a test. Nothing has happened.", end_line(delivery)]
    return title, "\n".join(lines)


def make_notice(channel: str, reason: str, delivery: str) -> tuple[str, str]:
    """Title and message for another channel, about one that is broken."""
    title = break_mentions(clean_line(f"[warning] alert channel {channel} is broken"))
    lines = [
        break_mentions(clean_line(f"Its messages cannot be delivered: {reason}", 600)),
        "They wait until a test of the channel passes. Correct its URL or its host, then press Test in the console.",
        end_line(delivery),
    ]
    return title, "\n".join(lines)


def end_line(delivery: str) -> str:
    return f"Delivery {delivery}"


def shorten(text: str, limit: int) -> str:
    """The text in at most `limit` characters, for services that take no more; its last line is kept."""
    if len(text) <= limit:
        return text
    head, _, last = text.rpartition("\n")
    room = limit - len(last) - 2
    return f"{head[: max(0, room)]}…\n{last}"[-limit:] if room > 0 else last[:limit]


def _lines_of(item: Mapping[str, Any], *, single: bool) -> list[str]:
    lines = [title_of(item)] if not single else []
    if single:
        lines.append(break_mentions(clean_line(f"Rule: {item['rule']}")))
    if item["detail"]:
        lines.append(break_mentions(clean_line(item["detail"], 1_000 if single else LINE_MAX)))
    if single and item["error_code"]:
        lines.append(clean_line(f"Error: {item['error_code']}"))
    if single and item["occurrences"] > 1:
        lines.append(f"Times: {item['occurrences']}")
    lines.append(str(item["url"]))
    return lines


def _rank(severity: str) -> int:
    return ("info", "warning", "critical").index(severity)

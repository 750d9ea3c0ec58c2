"""What an answer of a client system means for the batch that was sent.

One table of rules. What no rule knows is no success: the batch stays, and somebody looks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from farends.web.dates import seconds_until

SHOWN_MAX = 300  # characters of an answer that a reason quotes
RETRY_AFTER_MAX_S = 3600.0
_ASK_A_PERSON = frozenset({403, 404, 405, 410, 415, 451})
_LATER = frozenset({408, 409, 425, 429})


class TryOutcome(StrEnum):
    """What became of one try. The delivery log keeps these words."""

    DONE = "done"
    PARTLY = "partly"  # some readings were refused by name
    REFUSED = "refused"  # something in the batch is wrong
    TOO_LARGE = "too_large"
    LATER = "later"  # the same bytes again, after a while
    OFFLINE = "offline"  # nobody answered; no try is used up
    LOG_IN = "log_in"  # the log-in has run out
    PAUSE = "pause"  # a person must act


class TryEnd(StrEnum):
    """What one try has led to, as the metrics count it."""

    DELIVERED = "delivered"  # the whole batch
    REJECTED = "rejected"  # readings of it: they became dead letters, or the client system wants them once more
    SPLIT = "split"  # its parts are batches of their own
    RETRIED = "retried"  # the same bytes again, after a while
    UNREACHABLE = "unreachable"  # nobody answered
    PAUSED = "paused"  # a person must act


@dataclass(frozen=True, slots=True)
class Rejected:
    """One reading that the client system named."""

    key: str
    code: str = ""
    reason: str = ""
    retry: bool = False  # the client system wants it once more


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """An answer as it came. Names of `fields` are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class SuccessRule:
    """What a success looks like; the options of the connector."""

    statuses: frozenset[int] = frozenset({200, 201, 202, 204})
    accept_empty: bool = False
    success_field: str = "success"  # must not be false
    accepted_field: str = "accepted"  # a number, which must be the count that was sent
    rejected_field: str = "rejected"
    echo_field: str = "batch_id"  # must be the batch's own id
    duplicate_code: str = ""  # of a rejected reading that the client system has already
    logs_in: bool = False  # a 401 asks for another token first


@dataclass(frozen=True, slots=True)
class SentBatch:
    """What the answer is held against."""

    batch_id: str
    count: int
    keys: frozenset[str] | None = None  # None: not looked up yet; see `needs_keys`


@dataclass(frozen=True, slots=True)
class Judgement:
    outcome: TryOutcome
    reason: str = ""
    status: int | None = None
    wait_s: float | None = None  # as the client system asked
    rejected: tuple[Rejected, ...] = ()
    uncertain: bool = False  # the batch may have been taken all the same


def judge_answer(
    answer: ClientAnswer, sent: SentBatch, rule: SuccessRule, now: datetime
) -> Judgement:
    """`sent.keys` is needed where the answer names readings."""
    status = answer.status
    if status in rule.statuses or status == 207:
        return _judge_success(answer, sent, rule)
    words = f"the client system answered {status}{_quote(answer.body)}"
    if status == 413:
        return Judgement(TryOutcome.TOO_LARGE, words, status)
    if status in (400, 422):
        named = _named_errors(answer.body, sent, rule)
        return Judgement(TryOutcome.REFUSED, words, status, rejected=named)
    if status == 401 and rule.logs_in:
        return Judgement(TryOutcome.LOG_IN, words, status)
    if status in _LATER or status >= 500:
        if status >= 500 and answer.fields.get("idempotent-replayed", "").strip().lower() == "true":
            told = f"{words}: its saved answer to this batch, which will not change"
            return Judgement(TryOutcome.PAUSE, told, status)
        wait_s = _read_wait(answer.fields, now) if status in (429, 503) else None
        return Judgement(TryOutcome.LATER, words, status, wait_s, uncertain=status >= 500)
    if status in _ASK_A_PERSON or status == 401 or 300 <= status < 400:
        return Judgement(TryOutcome.PAUSE, words, status)
    return Judgement(TryOutcome.PAUSE, f"{words}, for which there is no rule", status)


def _judge_success(answer: ClientAnswer, sent: SentBatch, rule: SuccessRule) -> Judgement:
    status = answer.status
    if status == 204 or (rule.accept_empty and not answer.body.strip()):
        return Judgement(TryOutcome.DONE, status=status)
    said = _object(answer.body)
    if said is None:
        return _no_success(answer, "and no JSON object")
    if said.get(rule.success_field) is False:
        return _no_success(answer, f"and {rule.success_field} is false")
    if (echo := said.get(rule.echo_field)) is not None and str(echo) != sent.batch_id:
        return _no_success(answer, f"and {rule.echo_field} is another batch's")
    listed = said.get(rule.rejected_field) or []
    rejected = _rejected(listed)
    if rejected is None or not _are_of(rejected, sent):
        return _no_success(answer, f"and {rule.rejected_field} names readings that were not sent")
    refused = tuple(item for item in rejected if not _is_known(item, rule))
    if not _counts(said.get(rule.accepted_field), sent.count, len(rejected), len(refused)):
        return _no_success(answer, f"and {rule.accepted_field} is not {sent.count - len(refused)}")
    if refused:
        return Judgement(TryOutcome.PARTLY, status=status, rejected=refused)
    if status == 207 and not rejected:
        return _no_success(answer, "and it does not say which readings it refused")
    return Judgement(TryOutcome.DONE, status=status)


def _counts(accepted: object, count: int, rejected: int, refused: int) -> bool:
    """Some count what they have already as accepted, some do not. None: it does not count."""
    if accepted is None:
        return True
    if isinstance(accepted, bool) or not isinstance(accepted, int):
        return False
    return accepted in (count - rejected, count - refused)


def _no_success(answer: ClientAnswer, why: str) -> Judgement:
    words = f"the client system answered {answer.status}, {why}{_quote(answer.body)}"
    return Judgement(TryOutcome.LATER, words, answer.status, uncertain=True)


def needs_keys(answer: ClientAnswer) -> bool:
    """Whether the answer may name readings, so that the keys of the batch are worth looking up."""
    return answer.status == 207 or b'"' in answer.body


def _rejected(listed: object) -> tuple[Rejected, ...] | None:
    """Returns None for what is no list of named readings."""
    if not isinstance(listed, Sequence) or isinstance(listed, str | bytes):
        return None
    found: list[Rejected] = []
    for item in listed:
        if not isinstance(item, Mapping) or not isinstance(item.get("key"), str):
            return None
        found.append(
            Rejected(
                item["key"],
                _words(item.get("code"), 100),
                _words(item.get("reason", item.get("message")), SHOWN_MAX),
                item.get("retry") is True,
            )
        )
    return tuple(found)


def _are_of(rejected: Sequence[Rejected], sent: SentBatch) -> bool:
    """Each one was sent, and none is named twice."""
    keys = {item.key for item in rejected}
    known = frozenset[str]() if sent.keys is None else sent.keys
    return len(keys) == len(rejected) and keys <= known


def _is_known(item: Rejected, rule: SuccessRule) -> bool:
    """Whether the client system refuses the reading because it has it."""
    return bool(rule.duplicate_code) and item.code == rule.duplicate_code


def _named_errors(body: bytes, sent: SentBatch, rule: SuccessRule) -> tuple[Rejected, ...]:
    """Of a 400: the readings that it names by key; none where it names any that was not sent."""
    said = _object(body) or {}
    named = _rejected(said.get("errors") or said.get(rule.rejected_field) or [])
    return named if named and _are_of(named, sent) else ()


def _object(body: bytes) -> dict[str, Any] | None:
    """None where it is none, or says one thing twice: who reads the first one reads another answer."""
    try:
        said = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return said


def _words(value: object, most: int) -> str:
    """What can be kept: no NUL, no half of a surrogate pair."""
    return "" if value is None else _printable(str(value)[:most])


def _printable(text: str) -> str:
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def _quote(body: bytes) -> str:
    shown = _printable(body[: 4 * SHOWN_MAX].decode("utf-8", "replace"))[:SHOWN_MAX]
    return f": {shown}" if shown else ""


def _read_wait(fields: Mapping[str, str], now: datetime) -> float | None:
    """How long the client system wants to be left alone, at most an hour; None where it does not say."""
    wait_s = seconds_until(fields.get("retry-after"), fields.get("date"), now_s=now.timestamp())
    return None if wait_s is None else min(wait_s, RETRY_AFTER_MAX_S)

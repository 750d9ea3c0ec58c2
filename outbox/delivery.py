"""Delivers a stream: batch after batch over one connection, each settled before the next one is sent."""

from __future__ import annotations

import random
import time
import uuid
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog
from django.conf import settings

from connectors.monitoring import check_now
from connectors.opening import make_context, make_target
from connectors.reachability import note_failure, note_success
from database.sessions import open_session
from farends.client.options import ClientOptions
from farends.client.system import AnswerCut, ClientReply, ClientSystem
from farends.errors import (
    ConnectionLost,
    NameNotResolved,
    PermanentError,
    ProtocolViolation,
    Stalled,
    TooLarge,
    TransportError,
    Unreachable,
)
from farends.masking import Mask, make_target_mask
from farends.spec import read_stored
from outbox.batches import BatchDamaged, Fixed, StreamFacts, key_of
from outbox.core.answers import (
    ClientAnswer,
    Judgement,
    SentBatch,
    SuccessRule,
    TryOutcome,
    judge_answer,
    needs_keys,
)
from outbox.leases import TAILS, HeldStream, claim_stream, release_stream
from outbox.models import Stream
from outbox.settling import DeliveryTerms, Settled, StreamFenced, begin, pause, settle
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import DrainAsked, Stop
from syncjobs.leases.heart import Heart
from syncjobs.leases.lease import Lease

log = structlog.get_logger(__name__)

# A streak ends after so many batches or seconds, so that streams share workers.
STREAK_BATCHES = 100
STREAK_S = 10.0
# Nothing was sent, or nothing came back: whether waiting helps is the monitor's to see.
_AWAY = (Unreachable, NameNotResolved, ConnectionLost)
# An answer that nobody can read: the batch may have been taken.
_UNREADABLE = (Stalled, ProtocolViolation, TooLarge)


def deliver(stream_id: uuid.UUID, heart: Heart) -> bool:
    """Sends what waits, until nothing does, something must be waited for, or a streak is over. Whether more
    is there to be sent at once."""
    held = claim_stream(stream_id, heart.owner)
    if held is None:
        return False
    stream = Stream.objects.select_related("client").get(pk=stream_id)
    lease = heart.hold(TAILS, held, Progress())
    errand = _Errand(stream, held, lease)
    try:
        return _deliver(errand)
    except (StreamFenced, Stop) as exc:
        log.info("delivery.stopped", stream=str(stream_id), reason=str(exc))
        return False
    finally:
        heart.release(lease)
        release_stream(held, in_doubt=errand.is_in_doubt)


@dataclass
class _Errand:
    """One delivery. `is_in_doubt`: a batch is sent, and what became of it is not written down."""

    stream: Stream
    held: HeldStream
    lease: Lease
    is_in_doubt: bool = False
    has_reported: bool = False  # that the client system answers: once a streak is often enough

    def check(self) -> None:
        """A drain waits for the answer that is under way, which the time-out bounds. Raises a Stop."""
        try:
            self.lease.check()
        except DrainAsked:
            pass


def _deliver(errand: _Errand) -> bool:
    terms = _terms_of(errand.stream, errand.held)
    session = open_session(statement_timeout_s=30, name=f"deliver {stream_id_of(errand.stream)}")
    with closing(session):
        try:
            with closing(_open_sender(errand)) as sender:
                return _send_batches(errand, session, terms, sender)
        except (BatchDamaged, TransportError) as exc:
            log.error("delivery.impossible", stream=errand.stream.name, error=str(exc))  # noqa: TRY400 — no fault of ours
            pause(session, terms, str(exc))
            return False


def _open_sender(errand: _Errand) -> _Sender:
    """Raises AuthConfig, TlsRefused for options that cannot be used."""
    target = make_target(errand.stream.client)
    system = ClientSystem(target, make_context(errand.check, errand.lease.progress.moved))
    return _Sender(system, rule_of(target.options), make_target_mask(target))


def _send_batches(
    errand: _Errand, session: psycopg.Connection[Any], terms: DeliveryTerms, sender: _Sender
) -> bool:
    """Whether more is there to be sent at once."""
    stream, lease = errand.stream, errand.lease
    batch = begin(session, terms, took_over=errand.held.took_over)
    ends_at = time.monotonic() + STREAK_S
    for _ in range(STREAK_BATCHES):
        if batch is None or time.monotonic() > ends_at:
            break
        lease.check()
        began = time.monotonic()
        errand.is_in_doubt = True
        judgement = sender.send(stream.name, batch)
        took_ms = round(1000 * (time.monotonic() - began))
        settled = settle(session, terms, batch, judgement, took_ms)
        errand.is_in_doubt = False
        lease.progress.moved()
        _log_settled(stream, batch, judgement, settled)
        if not (errand.has_reported and judgement.outcome is TryOutcome.DONE):
            _report(stream, judgement)
            errand.has_reported = True
        batch = settled.following
    return batch is not None


def _report(stream: Stream, judgement: Judgement) -> None:
    """What this try says of the client system. One that nobody answered is looked at once more at once: two
    failures are an outage."""
    if judgement.outcome is TryOutcome.OFFLINE:
        note_failure(stream.client, judgement.reason)
        check_now(stream.client)
    elif judgement.status is not None and judgement.status < 500:
        note_success(stream.client)


def stream_id_of(stream: Stream) -> str:
    return stream.pk.hex


def _terms_of(stream: Stream, held: HeldStream) -> DeliveryTerms:
    options = read_stored(ClientOptions, stream.client.options)
    return DeliveryTerms(
        stream=StreamFacts(
            stream.pk, stream.number, stream.name, stream.batch_size, stream.batch_bytes
        ),
        client_id=stream.client_id,
        token=held.token,
        lease_s=settings.SYNC.lease_s,
        tries_max=options.max_tries or settings.OUTBOX_MAX_RETRIES,
        round_s=stream.sync_interval_s,
        check_s=settings.SYNC.connectivity_check_s,
        luck=random.random,
    )


def rule_of(options: ClientOptions) -> SuccessRule:
    return SuccessRule(
        statuses=frozenset(map(int, options.success_status)),
        accept_empty=options.accept_empty,
        success_field=options.success_field,
        accepted_field=options.accepted_field,
        rejected_field=options.rejected_field,
        echo_field=options.echo_field,
        duplicate_code=options.duplicate_code,
        logs_in=options.auth == "login",
    )


def _log_settled(stream: Stream, batch: Fixed, judgement: Judgement, settled: Settled) -> None:
    tell = log.info if judgement.outcome is TryOutcome.DONE else log.warning
    tell(
        "delivery.settled",
        stream=stream.name,
        batch=str(batch.id),
        count=batch.count,
        outcome=judgement.outcome.value,
        status=judgement.status,
        paused=bool(settled.paused),
    )


class _Sender:
    """Sends batches, and says what became of each try."""

    def __init__(self, system: ClientSystem, rule: SuccessRule, mask: Mask | None) -> None:
        self._system = system
        self._rule = rule
        self._mask = mask

    def close(self) -> None:
        self._system.close()

    def send(self, stream: str, batch: Fixed) -> Judgement:
        judgement = self._try(stream, batch)
        if judgement.outcome is TryOutcome.LOG_IN:
            judgement = self._log_in() or self._try(stream, batch)
        if judgement.outcome is TryOutcome.LOG_IN:  # the new token is refused too
            judgement = replace(judgement, outcome=TryOutcome.PAUSE)
        if self._mask is not None:
            judgement = replace(judgement, reason=self._mask(judgement.reason))
        return judgement

    def _try(self, stream: str, batch: Fixed) -> Judgement:
        fields = {
            "Idempotency-Key": str(batch.id),
            "X-Stream": stream,
            "Content-Digest": batch.image.content_digest,
        }
        try:
            reply = self._system.send_batch(batch.image.body, fields)
        except AnswerCut as exc:
            words = f"the answer ({exc.status}) did not come as a whole: {exc}"
            return Judgement(TryOutcome.LATER, words, exc.status, uncertain=True)
        except TransportError as exc:
            return judgement_of(exc)
        return self._judge(reply, batch)

    def _judge(self, reply: ClientReply, batch: Fixed) -> Judgement:
        answer = ClientAnswer(reply.status, reply.fields, reply.body)
        keys = frozenset(map(key_of, batch.lines)) if self._names_keys(answer) else frozenset[str]()
        sent = SentBatch(str(batch.id), batch.count, keys)
        return judge_answer(answer, sent, self._rule, datetime.now(UTC))

    def _names_keys(self, answer: ClientAnswer) -> bool:
        listed = (self._rule.rejected_field, "errors")
        return needs_keys(answer) and any(name.encode() in answer.body for name in listed)

    def _log_in(self) -> Judgement | None:
        """Returns None if a new token is there."""
        try:
            self._system.log_in()
        except AnswerCut as exc:
            return Judgement(TryOutcome.LATER, f"the log-in did not succeed: {exc}", exc.status)
        except TransportError as exc:
            return judgement_of(exc)
        return None


def judgement_of(error: TransportError) -> Judgement:
    """What a try came to that brought no answer."""
    if isinstance(error, _AWAY):
        # A connection that was lost may have been lost after the batch was taken.
        return Judgement(
            TryOutcome.OFFLINE, str(error), uncertain=isinstance(error, ConnectionLost)
        )
    if isinstance(error, PermanentError) and not isinstance(error, _UNREADABLE):
        return Judgement(TryOutcome.PAUSE, str(error))
    return Judgement(TryOutcome.LATER, str(error), uncertain=True)

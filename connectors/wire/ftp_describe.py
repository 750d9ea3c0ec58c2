"""What a host says of one file now: MLST where there is MLST, else SIZE and MDTM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.errors import ProtocolViolation, TransportError
from connectors.wire.ftp_client import FtpClient
from connectors.wire.ftp_reply import Reply, is_ambiguous, refusal
from connectors.wire.ftp_rows import Kind, facts_row, size_of, time_ns
from connectors.wire.ftp_session import Session

DOING = "asking for size and time"


@dataclass(slots=True)
class Described:
    """`refused` is the error where the host would tell nothing; `ambiguous`: its text leaves open
    why. `lost` is the session's end, after which another may be asked."""

    kind: Kind | None = None
    size_bytes: int | None = None
    modified_ns: int | None = None
    refused: TransportError | None = None
    ambiguous: bool = False
    lost: TransportError | None = None

    @property
    def known(self) -> bool:
        return self.size_bytes is not None or self.modified_ns is not None or self.kind is not None


def describe(
    client: FtpClient, session: Session, path: bytes, done: Callable[[Described], None]
) -> None:
    """Queues the question. `done` is called by the pump, once, and must not raise.

    Raises UnsafeName.
    """
    described = Described()
    features = client.features
    if features.mlst:
        session.send(
            client.line(b"MLST", path), lambda outcome: _take_facts(outcome, described, done)
        )
        return
    questions = [
        verb for verb, known in ((b"SIZE", features.size), (b"MDTM", features.mdtm)) if known
    ]
    if not questions:
        done(described)
        return
    for verb in questions:
        last = verb is questions[-1]
        session.send(
            client.line(verb, path), _value_taker(client, verb, described, done, last=last)
        )


def _take_facts(
    outcome: Reply | TransportError, described: Described, done: Callable[[Described], None]
) -> None:
    if isinstance(outcome, TransportError):
        described.lost = outcome
    elif outcome.completed:
        fact_line = next(
            (raw for raw in outcome.lines if b"=" in raw.split(b" ", 2)[0] or raw[:1] == b" "), b""
        )
        try:
            row = facts_row(fact_line.lstrip(b" "))
        except ProtocolViolation as exc:
            described.refused = exc
        else:
            described.kind = row.kind
            described.size_bytes, described.modified_ns = row.size_bytes, row.modified_ns
    else:
        _note_refusal(outcome, described)
    done(described)


def _value_taker(
    client: FtpClient,
    verb: bytes,
    described: Described,
    done: Callable[[Described], None],
    *,
    last: bool,
) -> Callable[[Reply | TransportError], None]:
    def take(outcome: Reply | TransportError) -> None:
        if isinstance(outcome, TransportError):
            described.lost = outcome
        elif outcome.code == 213:
            value = outcome.lines[0].strip()
            if verb == b"SIZE":
                described.size_bytes = size_of(value)
            else:
                described.modified_ns = time_ns(value)
        elif outcome.not_implemented:
            if verb == b"SIZE":
                client.features.size = False
            else:
                client.features.mdtm = False
        else:
            _note_refusal(outcome, described)
        if last:
            done(described)

    return take


def _note_refusal(reply: Reply, described: Described) -> None:
    described.refused = refusal(reply, DOING)
    described.ambiguous = is_ambiguous(reply)

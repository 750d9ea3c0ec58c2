"""What a host says of one file now: MLST where there is MLST, else SIZE and MDTM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.errors import ProtocolViolation, TransportError
from connectors.wire.ftp_client import FtpClient
from connectors.wire.ftp_login import Features
from connectors.wire.ftp_reply import Reply, is_ambiguous, refusal
from connectors.wire.ftp_rows import Kind, facts_row, size_of, time_ns
from connectors.wire.ftp_session import Session

DOING = "asking for size and time"


@dataclass(slots=True)
class Described:
    """`refused` is the error where the host would tell nothing; `ambiguous`: its text leaves open
    why. `lost` is the session's end, after which another may be asked. `again`: a second question may
    bring more, for the host was busy (4xx), or what it cannot do is known only now."""

    kind: Kind | None = None
    size_bytes: int | None = None
    modified_ns: int | None = None
    refused: TransportError | None = None
    ambiguous: bool = False
    lost: TransportError | None = None
    again: bool = False

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
    questions = _questions(client.features)
    if not questions:
        done(described)
    for number, verb in enumerate(questions, 1):
        take = _TAKERS[verb]

        def answer(
            outcome: Reply | TransportError,
            take: _Take = take,
            last: bool = number == len(questions),
        ) -> None:
            if isinstance(outcome, TransportError):
                described.lost = outcome
            else:
                take(outcome, described, client.features)
            if last:
                done(described)

        session.send(client.line(verb, path), answer)


def _questions(features: Features) -> list[bytes]:
    """MLST tells all, on most hosts; where it does not, SIZE is asked beside it."""
    if not features.mlst:
        known = [(b"SIZE", features.size), (b"MDTM", features.mdtm)]
    else:
        known = [(b"MLST", True), (b"SIZE", features.size and not features.mlst_sizes)]
    return [verb for verb, can in known if can]


def _take_facts(reply: Reply, described: Described, features: Features) -> None:
    if reply.not_implemented:
        features.mlst = False
        described.again = True
        return
    if not reply.completed:
        _note_refusal(reply, described)
        return
    fact_line = next(
        (raw for raw in reply.lines if b"=" in raw.split(b" ", 2)[0] or raw[:1] == b" "), b""
    )
    try:
        row = facts_row(fact_line.lstrip(b" "))
    except ProtocolViolation as exc:
        described.refused = exc
        return
    described.kind = row.kind
    described.size_bytes, described.modified_ns = row.size_bytes, row.modified_ns
    if row.size_bytes is None and row.kind in (Kind.FILE, None) and features.mlst_sizes:
        features.mlst_sizes = False
        described.again = features.size


def _take_size(reply: Reply, described: Described, features: Features) -> None:
    if reply.code == 213:
        described.size_bytes = size_of(reply.lines[0].strip())
    elif reply.not_implemented:
        features.size = False
    else:
        _note_refusal(reply, described)


def _take_time(reply: Reply, described: Described, features: Features) -> None:
    if reply.code == 213:
        described.modified_ns = time_ns(reply.lines[0].strip())
    elif reply.not_implemented:
        features.mdtm = False
    else:
        _note_refusal(reply, described)


def _note_refusal(reply: Reply, described: Described) -> None:
    described.refused = refusal(reply, DOING)
    described.ambiguous = is_ambiguous(reply)
    described.again = described.again or 400 <= reply.code < 500


_Take = Callable[[Reply, Described, Features], None]
_TAKERS: dict[bytes, _Take] = {b"MLST": _take_facts, b"SIZE": _take_size, b"MDTM": _take_time}

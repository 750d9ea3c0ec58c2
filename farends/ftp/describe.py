"""Asks a host about one file: by MLST where the host has it, else by SIZE and MDTM, else by STAT."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from farends.errors import ProtocolViolation, TransportError
from farends.ftp.client import FtpClient
from farends.ftp.list_rows import ListReader
from farends.ftp.login import Features
from farends.ftp.reply import Reply, is_ambiguous, make_refusal
from farends.ftp.rows import Kind, facts_row, parse_size, time_ns
from farends.ftp.session import Session

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


def ask_description(
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
        take = _TAKERS.get(verb) or functools.partial(_take_rows, path)

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
    """MLST tells all, on most hosts. Where it does not, SIZE and MDTM are asked beside it; and where
    nothing else tells a size, STAT, which lists."""
    alone = features.mlst and features.mlst_sizes
    known = {
        b"MLST": features.mlst,
        b"SIZE": features.size and not alone,
        b"MDTM": features.mdtm and not alone,
        b"STAT": features.stat and not features.size and not alone,
    }
    return [verb for verb, can in known.items() if can]


def _take_facts(reply: Reply, described: Described, features: Features) -> None:
    if reply.not_implemented:
        features.mlst = False
        described.again = True
        return
    if not reply.completed:
        _note_refusal(reply, described)
        if reply.code >= 500 and not features.mlst_works and features.mlst_sizes:
            features.mlst_sizes = False  # perhaps it never answers
            described.again = True
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
    if row.size_bytes is not None:
        features.mlst_works = features.mlst_sizes = True
    elif row.kind in (Kind.FILE, None) and features.mlst_sizes:
        features.mlst_works, features.mlst_sizes = True, False
        described.again = True


def _take_size(reply: Reply, described: Described, features: Features) -> None:
    if reply.code == 213:
        size = parse_size(reply.lines[0].strip())
        described.size_bytes = described.size_bytes if size is None else size
    elif reply.not_implemented:
        features.size = False
        described.again = True
    else:
        _note_refusal(reply, described)


def _take_time(reply: Reply, described: Described, features: Features) -> None:
    if reply.code == 213:
        moment = time_ns(reply.lines[0].strip())
        described.modified_ns = described.modified_ns if moment is None else moment
    elif reply.not_implemented:
        features.mdtm = False
    else:
        _note_refusal(reply, described)


def _take_rows(path: bytes, reply: Reply, described: Described, features: Features) -> None:
    """A host may take the path for a pattern, so only a row of that very name counts."""
    if reply.code not in (211, 212, 213):
        features.stat = features.stat and not reply.not_implemented
        return
    name, reader = path.rpartition(b"/")[2], ListReader()
    for line in reply.lines[1:-1]:
        try:
            row = reader.read(line.lstrip(b" "))
        except ProtocolViolation:
            continue
        if row is not None and row.name.rpartition(b"/")[2] == name and row.kind is Kind.FILE:
            described.kind, described.size_bytes = Kind.FILE, row.size_bytes


def _note_refusal(reply: Reply, described: Described) -> None:
    described.refused = make_refusal(reply, DOING)
    described.ambiguous = is_ambiguous(reply)
    described.again = described.again or 400 <= reply.code < 500


_Take = Callable[[Reply, Described, Features], None]
_TAKERS: dict[bytes, _Take] = {b"MLST": _take_facts, b"SIZE": _take_size, b"MDTM": _take_time}

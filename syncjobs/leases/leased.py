"""How a table whose rows are leased describes itself to heartbeat and sweep.

Each row has a `token`, which grows with every claim, `lease_owner` and `lease_expires_at`, by the
database's clock; both are NULL where nobody has the row.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from farends.budget import Obstacle
from syncjobs.engine.progress import Snapshot


class Holding(Protocol):
    """A row that was claimed."""

    @property
    def key(self) -> Hashable: ...
    @property
    def token(self) -> int: ...


class Heard(Protocol):
    """What the work is to hear of its row; see `Lease`."""

    def ask_to_cancel(self) -> None: ...
    def obey_window(self, closed: Obstacle | None) -> None: ...


@dataclass(frozen=True, slots=True)
class ToldColumn:
    """What each heartbeat tells of the work: a name, its type in PostgreSQL, and where to read it."""

    name: str
    type: str
    of: Callable[[Snapshot], Any]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The answer of a table that asks for nothing beside key and token."""


def _tell_nobody(_keys: Sequence[Any]) -> None:
    return None


def _hear_nothing(_heard: Heard, _answer: Any) -> None:
    return None


@dataclass(frozen=True)
class Leased:
    """A table and what its heartbeat does beyond moving the lease's end.

    `told` goes into the columns of the same names. `writes` are further assignments, in which `r` is
    the row and `b` what is told, `b.silent_s` included: for how long the work has stood still.
    `unwritten` is told for these alone. `asks` are columns that a look at the rows reads, with `joins`; each
    has the name of a field of `answer`, a dataclass, and `hear` takes it filled. `frees` are further assignments for a row whose lease ran out, and
    `on_freed` gets the keys of such rows, in the transaction that frees them. Sync records have states, and rules of their own for that (`syncjobs.claims.reaping`).
    """

    table: str
    key: str = "id"
    key_type: str = "uuid"
    told: tuple[ToldColumn, ...] = ()
    unwritten: tuple[ToldColumn, ...] = ()
    writes: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    joins: str = ""
    answer: type[Any] = NoAnswer
    hear: Callable[[Heard, Any], None] = _hear_nothing
    frees: tuple[str, ...] = ()
    on_freed: Callable[[Sequence[Any]], None] = _tell_nobody

    @property
    def tells(self) -> tuple[ToldColumn, ...]:
        return (*self.told, *self.unwritten)

    @cached_property
    def renewal(self) -> str:
        """Returns key and token of the rows that it renewed.

        It never looks whether a lease has run out: one that nobody took is simply renewed. A row that is
        locked, as at the end of a publish, is passed over: it must not hold up the others.
        """
        assigned = [f"{told.name} = b.{told.name}" for told in self.told]
        ends_at = "lease_expires_at = now() + make_interval(secs => %(lease_s)s)"
        arrays = [f"%({told.name})s::{told.type}[]" for told in self.tells]
        names = [told.name for told in self.tells]
        return f"""
        UPDATE {self.table} r SET {", ".join((ends_at, *assigned, *self.writes))}
          FROM unnest({
            ", ".join(
                (
                    f"%(keys)s::{self.key_type}[]",
                    "%(tokens)s::bigint[]",
                    "%(silent_s)s::float[]",
                    *arrays,
                )
            )
        })
            AS b({", ".join(("key", "token", "silent_s", *names))})
         WHERE r.{self.key} = b.key AND r.token = b.token AND r.lease_owner = %(owner)s
           AND r.{self.key} IN (SELECT {self.key} FROM {self.table}
                                 WHERE {self.key} = ANY(%(keys)s::{self.key_type}[])
                                   FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING r.{self.key}, r.token
        """  # noqa: S608 — made of a table's description

    @cached_property
    def look(self) -> str:
        """Returns key, token and `asks` of the rows that the owner still has."""
        return f"""
        SELECT {", ".join((f"r.{self.key}", "r.token", *self.asks))}
          FROM {self.table} r {self.joins}
         WHERE r.{self.key} = ANY(%(keys)s::{self.key_type}[]) AND r.lease_owner = %(owner)s
        """  # noqa: S608 — made of a table's description

    @cached_property
    def expiry(self) -> str:
        """Frees rows whose lease ran out longer ago than `grace_s`, the longest first, and returns their keys.

        A higher token comes first, so whoever still works on such a row can write no more. A row that is
        locked is passed over until the next sweep.
        """
        freed = (
            "token = r.token + 1",
            "lease_owner = NULL",
            "lease_expires_at = NULL",
            *self.frees,
        )
        return f"""
        UPDATE {self.table} r SET {", ".join(freed)}
         WHERE r.{self.key} IN (
               SELECT {self.key} FROM {self.table}
                WHERE lease_expires_at < now() - make_interval(secs => %(grace_s)s)
                ORDER BY lease_expires_at LIMIT %(at_once)s FOR NO KEY UPDATE SKIP LOCKED)
        RETURNING r.{self.key}
        """  # noqa: S608 — made of a table's description

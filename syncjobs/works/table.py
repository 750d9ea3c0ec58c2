"""Which kind of far end needs which kind of work. The attempt, and whoever saves a job, ask here."""

from __future__ import annotations

from farends.registry import SPECS, get_spec
from farends.spec import FILES, ROWS
from syncjobs.works.contract import Work
from syncjobs.works.files.work import FileWork
from syncjobs.works.rows.work import RowWork

WORKS: dict[str, Work] = {FILES: FileWork(), ROWS: RowWork()}  # by `Spec.far_end`


class NoWork(LookupError):
    """Nothing is synced from this kind of connector."""


def has_work(far_end: str) -> bool:
    """Whether jobs can sync from such a far end, as its kind's Spec names it."""
    return far_end in WORKS


def kinds_with_work() -> list[str]:
    """Kinds of connectors that jobs can sync from."""
    return [kind for kind, spec in SPECS.items() if has_work(spec.far_end)]


def get_work(kind: str) -> Work:
    """Returns the work for a kind of connector. Raises UnknownKind and NoWork."""
    far_end = get_spec(kind).far_end
    try:
        return WORKS[far_end]
    except KeyError:
        raise NoWork(f"no job can sync from a connector of kind {kind}") from None

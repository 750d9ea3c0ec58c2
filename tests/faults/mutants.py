"""Builds that are broken on purpose, from outside the product: the checker must find each out."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.plans import POINTS, Kind


@dataclass(frozen=True, slots=True)
class Mutant:
    """`rules` are those of which the checker must report one. The same faults against the product as it
    is must end without a finding: that is what the mutant is held against."""

    name: str
    broken: str
    worker_app: str = "tests.faults.failpoints"
    beat_app: str = "syncproject"
    statements: tuple[str, ...] = ()  # for the database
    kinds: tuple[Kind, ...] = tuple(Kind)
    points: tuple[str, ...] = POINTS
    rules: tuple[str, ...] = ()

    def mended(self) -> Mutant:
        """The same run with nothing broken."""
        return Mutant(f"{self.name}, mended", "nothing", kinds=self.kinds, points=self.points)


MUTANTS = {
    mutant.name: mutant
    for mutant in (
        Mutant("none", "nothing"),
        Mutant(
            "unfenced",
            "the check of the token",
            worker_app="tests.faults.mutated.unfenced",
            kinds=(Kind.STOP_AT,),
            points=("keep.stored", "publish.before"),
            rules=("fence.stale_writer",),
        ),
        Mutant(
            "unsynced",
            "the order of naming blobs and syncing them to disk",
            worker_app="tests.faults.mutated.unsynced",
            kinds=(Kind.CRASH_AT,),
            points=("keep.receipted",),
            rules=("version.blob_missing", "version.blob_differs"),
        ),
        Mutant(
            "twice_fired",
            "the unique fire, and the dispatchers' lock",
            beat_app="tests.faults.mutated.twice_fired",
            statements=("DROP INDEX record_once_per_fire",),
            kinds=(),
            rules=("fire.doubled",),
        ),
    )
}

"""How long the work of each stage may stand still.

Any sign counts: an entry listed, bytes that came, a file kept, a step of publishing, a host that answers
without naming a file, a wait by choice (bandwidth, a digest that the host computes). A stage that goes
on, however slowly, is ended by its deadline alone. The limits lie above every clock that the work has of
its own: 60 s of silence at a host, 5 minutes for a statement, 15 for one of publishing.
"""

from __future__ import annotations

from dataclasses import dataclass

from syncjobs.core.states import Stage

PATIENCE_MARGIN_S = 60.0  # a connector's own clock rings first


@dataclass(frozen=True, slots=True)
class StallRule:
    working_s: float = 600
    publishing_s: float = 1200  # one statement over a million entries, and clearing the source

    def limit_s(self, stage: str, *, patience_s: float = 0.0) -> float:
        """`patience_s`: the silence that a person granted this connector's host."""
        limit_s = self.working_s
        if stage == Stage.FINALIZING:
            limit_s = max(limit_s, self.publishing_s)
        return max(limit_s, patience_s + PATIENCE_MARGIN_S) if patience_s else limit_s

"""The names of the points; `failpoints` lays them, which nobody but a process of the run may import."""

from __future__ import annotations

INTAKE = ("intake.before", "intake.kept", "intake.committed")
DELIVERY = (
    "fix.before", "fix.after", "send.before", "send.after", "mark.before", "mark.within", "mark.after",
)  # fmt: skip
ROTATION = ("rotation.before", "rotation.emptied", "rotation.after")
MUTANTS = ("new_key", "mark_first", "made_anew")

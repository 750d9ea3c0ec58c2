"""Flower reads this by `--conf`, in its own process."""

from __future__ import annotations

from embedded.flower_doors import close

close()

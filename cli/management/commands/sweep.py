"""`sweep`: removes from the store what nothing names and nobody is at work on."""

from __future__ import annotations

from typing import Any

from cli.command import Command as DatabaseCommand
from syncjobs.lifecycle.sweeping import sweep


class Command(DatabaseCommand):
    help = (
        "Remove leftovers of lost attempts, and content that no version names. Safe beside syncs."
    )

    def run(self, *args: Any, **options: Any) -> None:
        removed = sweep()
        self.stdout.write(
            f"{removed.blobs} blobs ({removed.size_bytes} bytes) that no version names,"
            f" {removed.leftovers} leftovers of lost attempts"
        )

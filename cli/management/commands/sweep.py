"""`sweep`: removes from the store what nothing names and nobody is at work on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import busy
from cli.command import Command as DatabaseCommand
from store.errors import StoreError
from syncjobs.claims.halting import Halted
from syncjobs.upkeep.sweeping import sweep


class Command(DatabaseCommand):
    help = (
        "Remove leftovers of lost attempts, and content that no version names. Safe beside syncs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def run(self, *args: object, **options: Any) -> None:
        try:
            with busy("sweeping"):
                removed = sweep()
        except (StoreError, OSError, Halted) as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json(asdict(removed))
            return
        self.stdout.write(
            f"{removed.blobs} blobs ({removed.size_bytes} bytes) that no version names,"
            f" {removed.leftovers} leftovers of lost attempts"
        )

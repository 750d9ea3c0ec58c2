"""`rotate_secrets`: every stored secret gets the newest of SECRETS_KEYS."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from cli.bars import count_bar
from cli.command import Command as DatabaseCommand
from cli.command import need_keys_of_stack
from connectors.rotating import count_sealed, rotate_secrets


class Command(DatabaseCommand):
    help = (
        "Encrypt every stored secret (of connectors, and keys of embedding services) with the first of SECRETS_KEYS. Put a new key before the old ones,"
        " restart everything, run this, and take the old ones away when it ends with status 0. Safe beside"
        " syncs; interrupted, it is run again. Exit status 1: some secret opens with none of the keys, and"
        " must be entered again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def run(self, *args: object, **options: Any) -> None:
        need_keys_of_stack()
        try:
            with count_bar("re-encrypting secrets", count_sealed()) as bar:
                done = rotate_secrets(bar)
        except (ImproperlyConfigured, ValueError):  # no key, or one that is none: never its text
            raise CommandError("SECRETS_KEYS holds no usable key") from None
        if options["json"]:
            self.write_json(asdict(done))
        else:
            self.stdout.write(
                f"{done.resealed} secrets encrypted again, {done.current} had the newest key already"
            )
        for name in done.unopened:
            self.stderr.write(f"does not open with any of SECRETS_KEYS: {name}")
        if done.unopened:
            raise CommandError(f"{len(done.unopened)} secrets did not open; keep the old keys")

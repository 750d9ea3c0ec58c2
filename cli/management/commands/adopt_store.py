"""`adopt_store`: the folder here is the store from now on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from cli.command import Command as DatabaseCommand
from datasets.store import Adopted, AdoptionRefused, adopt_store
from store.errors import StoreError


class Command(DatabaseCommand):
    help = (
        "Make DATA_DIR/store the store that the database knows, on purpose: after a store was lost, or was moved"
        " by a copy. A copy that took the file SYNCPROJECT-STORE along needs this only with --new-id. Run it"
        " where the new disk is mounted; workers that do not see this very store take no record from then on,"
        " and /health says so. Some contents of each dataset are looked for first; where any is missing, nothing"
        " is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new-id",
            action="store_true",
            help="give the store another id, so that copies of it elsewhere are taken for other stores",
        )
        parser.add_argument(
            "--incomplete",
            action="store_true",
            help="adopt it although contents are missing; `scrub` then tells which, and syncs fetch them again",
        )
        parser.add_argument("--json", action="store_true", help="print what was done as JSON")

    def run(self, *args: object, **options: Any) -> None:
        try:
            done = adopt_store(new_id=options["new_id"], incomplete=options["incomplete"])
        except AdoptionRefused as exc:
            raise CommandError(
                f"{exc}: mount the right disk, or give --incomplete where they are lost. Nothing was changed."
            ) from None
        except (StoreError, OSError) as exc:
            raise CommandError(f"{settings.STORE_ROOT} cannot be adopted: {exc}") from None
        if options["json"]:
            self.write_json(_describe(done))
            return
        self.stdout.write(
            f"{settings.STORE_ROOT} is the store {done.store_id}"
            + (
                f"; until now it was {done.former_id or 'none'}"
                if done.changed
                else ", as the database knows already"
            )
        )
        if done.changed:
            self.stderr.write(f"{done.missing} of {done.looked_at} contents looked for are missing")
        if done.missing:
            self.stderr.write(
                "run `manage.py scrub`, then sync each job: what the source has comes again"
            )


def _describe(done: Adopted) -> dict[str, Any]:
    return {
        "path": str(settings.STORE_ROOT),
        "store": str(done.store_id),
        "former": None if done.former_id is None else str(done.former_id),
        "changed": done.changed,
        "looked_at": done.looked_at,
        "missing": done.missing,
    }

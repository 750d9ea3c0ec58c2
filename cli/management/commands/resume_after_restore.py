"""`resume_after_restore`: accepts the restored database as the one to use from now on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from cli.command import Command as DatabaseCommand
from datasets.installation import HALT_WORDS, resume_after_restore
from syncjobs.queries.installation import find_halted_hosts


class Command(DatabaseCommand):
    help = (
        "Let a restored copy of the database work: schedules are served again, and files are deleted or moved at"
        " their sources again where jobs say so. Both stay off after a restore until a person has looked whether"
        " the original still runs, and whether this copy is to take its place. Run it on the host that /health"
        " or the console names. Other hosts of the fleet follow by themselves, where they see the store."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print what was done as JSON")

    def run(self, *args: object, **options: Any) -> None:
        done = resume_after_restore()
        elsewhere = [] if done.halt else find_halted_hosts()
        if options["json"]:
            told = {
                "resumed": done.halt is not None,
                "halt": done.halt,
                "installation": str(done.name),
                "halted_hosts": elsewhere,
            }
            self.write_json(told)
            return
        if done.halt is not None:
            self.stdout.write(
                f"resumed: schedules are served and sources are cleared again ({HALT_WORDS[done.halt]})"
            )
        else:
            self.stdout.write("nothing to resume: this host is not halted")
        if elsewhere:
            self.stderr.write(f"halted elsewhere, run it there: {', '.join(elsewhere)}")

"""`manage.py stack`: the one-machine stack in the foreground."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from embedded import options, stack
from embedded.errors import ChildFailed, StackError


class Command(BaseCommand):
    help = (
        "Runs PostgreSQL, Valkey, web, workers, beat and Flower on this machine until Ctrl-C. "
        "Exit status: 0 stopped as told, 1 could not run; with --demo that of the demonstration."
    )
    requires_system_checks = []  # the checks ask the database, which is not there yet

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--demo",
            action="store_true",
            help="with sample hosts and a client system: syncs of both hosts, and readings through an outage",
        )
        parser.add_argument("--exit", action="store_true", help="stop after the demonstration")
        parser.add_argument(
            "--tied", action="store_true", help="also stop when the calling process ends"
        )

    def handle(self, *args: Any, **given: Any) -> None:
        wish = stack.Wish(demo=given["demo"], exit_after=given["exit"], tied=given["tied"])
        try:
            status = stack.run(options.given_environment(), wish, self._say)
        except StackError as error:
            if isinstance(error, ChildFailed) and error.last_lines:
                self.stderr.write(error.last_lines)
            self.stderr.write(self.style.ERROR(str(error)))
            status = 1
        sys.exit(status)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

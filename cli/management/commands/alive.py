"""`alive`: the liveness probe of a container."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error as DatabaseError

from cli.command import Command as DatabaseCommand
from syncjobs.claims.presence import BEAT, INDEX, WEB, WORKER
from syncjobs.queries.signs import read_silence


class Command(DatabaseCommand):
    help = (
        "Says whether this host's worker, index, beat or web process lives: exit status 1 where it has not told of itself for"
        " SYNC_SILENT_SECONDS, or never. A liveness probe of containers, which are to be started again then. 0 also"
        " while PostgreSQL does not answer, has just started or takes no writes: no process can tell of itself then,"
        " and a new one could do no better."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("part", choices=(WORKER, INDEX, BEAT, WEB))

    def run(self, *args: object, **options: Any) -> None:
        part, limit_s = options["part"], settings.SYNC.silent_s
        try:
            silence = read_silence(part)
        except DatabaseError as exc:
            self.stdout.write(f"nothing can be told: {str(exc).splitlines()[0]}")
            return
        if not silence.writable or silence.up_s < limit_s:
            self.stdout.write(
                "nothing can be told: PostgreSQL takes no writes, or has just started"
            )
        elif silence.silent_s is None:
            raise CommandError(f"no {part} process of this host has told of itself")
        elif silence.silent_s > limit_s:
            raise CommandError(
                f"the {part} process has been silent for {silence.silent_s:.0f} s: start it again"
            )
        else:
            self.stdout.write(f"alive: it told of itself {silence.silent_s:.0f} s ago")

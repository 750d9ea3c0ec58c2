"""Commands that queue a record, and perhaps wait for its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from cli.command import Command
from cli.records import EXIT_STATUS, describe_progress, describe_record, dump_record, is_over
from cli.watching import watch
from syncjobs.core.states import State
from syncjobs.models import SyncRecord


def add_waiting_arguments(parser: CommandParser) -> None:
    parser.add_argument("--wait", action="store_true", help="wait for the end")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def finish(command: Command, record: SyncRecord, options: Mapping[str, Any]) -> None:
    """Tells the record; where it is waited for, at its end and with its exit status."""
    if options["wait"]:
        _wait(command, record)
    if options["json"]:
        command.write_json(dump_record(record))
    else:
        command.stdout.write(describe_record(record))
    if options["wait"]:
        sys.exit(EXIT_STATUS[State(record.state)])


def _wait(command: Command, record: SyncRecord) -> None:
    def ended() -> bool:
        record.refresh_from_db()
        return is_over(record)

    if not is_over(record):
        watch(ended, lambda: (describe_progress(record), record.percentage), command.stderr.write)

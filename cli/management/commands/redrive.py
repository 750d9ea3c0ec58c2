"""`redrive RECORD|STREAM`: rows out of a record's quarantine, or readings that were refused, are sent again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from pydantic import ValidationError

from api.shapes.misfits import describe_misfit
from api.shapes.quarantine import RowRedriveIn
from cli.command import WorkspaceCommand
from cli.finding import need_record
from cli.waiting import add_waiting_arguments, finish
from outbox.dead_letters import redrive
from outbox.models import Stream
from syncjobs.queueing.enqueueing import JobBusy, WorkspaceBusy
from syncjobs.queueing.redriving import NothingOpen, RedriveMisfit, send_again
from syncjobs.records.asking import ConnectorPaused
from workspaces.lookup import find_row


class Command(WorkspaceCommand):
    help = (
        "Send the open rows of a record's quarantine again: as the source has them now, or with the values of a"
        " file. With --wait, end with the state: 0 succeeded, 1 failed or timed out, 3 cancelled, 4 partial, 5 held."
        " The beginning of the record's id is enough. Of a stream: send all dead letters again; its next delivery"
        " takes them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("called", metavar="RECORD|STREAM")
        parser.add_argument(
            "--values",
            type=Path,
            metavar="FILE.json",
            help='values by row and column, such as {"7": {"day": "2026-12-13"}}; "-" reads standard input',
        )
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        stream = find_row(Stream.objects.all(), workspace, options["called"])
        if stream is not None:
            self._redrive(stream, options)
            return
        record = need_record(workspace, options["called"])
        values = _read(options["values"]) if options["values"] else {}
        try:
            again = send_again(record, by="command line", values=values)
        except (NothingOpen, RedriveMisfit, ConnectorPaused) as exc:
            raise CommandError(str(exc)) from None
        except (WorkspaceBusy, JobBusy) as exc:
            raise CommandError(f"{exc}: wait for record {exc.record.pk}, or cancel it") from None
        finish(self, again, options)

    def _redrive(self, stream: Stream, options: dict[str, Any]) -> None:
        if options["values"] or options["wait"]:
            raise CommandError(
                "--values and --wait are of a record's rows; readings go as they are"
            )
        count = redrive(stream, None)
        if options["json"]:
            self.write_json({"redriven": count})
        else:
            self.stdout.write(f"{stream.name}: {count:,} readings go again")


def _read(path: Path) -> dict[int, dict[str, str | None]]:
    """Raises CommandError."""
    try:
        with path.open() if str(path) != "-" else open(0, closefd=False) as source:
            given = json.load(source)
        body = RowRedriveIn.model_validate({"values": given})
    except OSError as exc:
        raise CommandError(f"cannot read {path}: {exc.strerror}") from None
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"][1:]))
        raise CommandError(
            f"{path}: {place or 'the whole'}: {describe_misfit(dict(first))}"
        ) from None
    except ValueError as exc:
        raise CommandError(f"{path} is no JSON: {exc}") from None
    return {int(number): row for number, row in body.values.items()}

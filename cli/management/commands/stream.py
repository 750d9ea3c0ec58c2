"""`stream NAME …`: how a stream does, and what a person does with it."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import busy, read_bar
from cli.command import WorkspaceCommand, tell_as_rest
from cli.finding import need_stream
from cli.lines import Lines
from cli.readings import Imported, ImportFailed, import_readings
from farends.errors import TransportError
from outbox.dead_letters import redrive, waiting_letters
from outbox.models import Stream, StreamState
from outbox.reconciling import NoDigests, reconcile
from outbox.rounds import send_round
from outbox.streams import StreamPaused
from outbox.telling import tell_letter, tell_status

PAUSED, OFFLINE = 1, 2


class Command(WorkspaceCommand):
    help = (
        "Look at a stream of readings, and act on it. status: how it does. send: one round of deliveries in this"
        " process; exit status 0 where the queue moved or was empty, 1 where the stream is paused or stopped, 2 where"
        " the client system did not take anything. import: readings of a file or of a pipe (-), safe to repeat."
        " dead-letters: what the client system refused, one JSON object a line. redrive: all of these go again."
        " reconcile: what the client system lacks goes again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "action",
            choices=["status", "send", "import", "dead-letters", "redrive", "reconcile"],
        )
        parser.add_argument("file", nargs="?", metavar="FILE", help="of import; - is a pipe")
        parser.add_argument(
            "--format",
            choices=["csv", "jsonl"],
            help="of import (default: by the name of the file, else jsonl)",
        )
        parser.add_argument(
            "--key", metavar="COLUMN", help="of import: the field that is the key (default: key)"
        )
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def run(self, *args: object, **options: Any) -> None:
        stream = need_stream(self.get_workspace(options["workspace"]), options["name"])
        if (options["action"] == "import") is not bool(options["file"]):
            raise CommandError("give a FILE, or -, to import, and to nothing else")
        match options["action"]:
            case "status":
                self._tell_status(stream, as_json=options["json"])
            case "send":
                self._send(stream, as_json=options["json"])
            case "import":
                self._import(stream, options)
            case "dead-letters":
                self._tell_letters(stream)
            case "redrive":
                self.stdout.write(json.dumps({"redriven": redrive(stream, None)}))
            case _:
                self._reconcile(stream)

    def _tell_status(self, stream: Stream, *, as_json: bool) -> None:
        told = tell_status(stream)
        if as_json:
            self.stdout.write(Lines(json.dumps(told, default=tell_as_rest)))
            return
        connectivity = told.pop("connectivity")
        for name, value in (told | connectivity).items():
            self.stdout.write(f"{name:<27} {_show(value)}".rstrip())

    def _send(self, stream: Stream, *, as_json: bool) -> None:
        """Raises CommandError where nobody can tell how it went."""
        try:
            with busy(f"sending {stream.name}"):
                sent = send_round(stream)
        except StreamPaused as exc:
            self.stderr.write(f"{exc}")
            sent = None
        self._tell_status(stream, as_json=as_json)
        if sent is None or stream.state != StreamState.RUNNING:
            sys.exit(PAUSED)
        if not (sent.has_moved or sent.is_empty):
            sys.exit(OFFLINE)

    def _import(self, stream: Stream, options: dict[str, Any]) -> None:
        form = options["format"] or _form_of(options["file"])
        done = Imported()
        with ExitStack() as stack:
            source, size = _open(stack, options["file"])
            bar = stack.enter_context(read_bar(f"importing {options['file']}", size))
            try:
                for done in import_readings(stream, source, form, options["key"] or "key"):
                    bar(done.read_bytes)
            except ImportFailed as exc:
                self.stdout.write(json.dumps(exc.done.told))
                raise CommandError(f"{exc}") from None
        self.stdout.write(json.dumps(done.told))
        if done.refused:
            for place, words in done.examples:
                self.stderr.write(f"{place}: {words}")
            sys.exit(1)

    def _tell_letters(self, stream: Stream) -> None:
        for letter in waiting_letters(stream).iterator(1000):
            self.stdout.write(json.dumps(tell_letter(letter), default=tell_as_rest))

    def _reconcile(self, stream: Stream) -> None:
        try:
            with busy(f"comparing {stream.name}"):
                done = reconcile(stream)
        except (NoDigests, TransportError) as exc:
            raise CommandError(f"{exc}") from None
        self.stdout.write(json.dumps(asdict(done)))


def _open(stack: ExitStack, named: str) -> tuple[Any, int | None]:
    """The file's bytes, and how many; None of a pipe. Raises CommandError."""
    if named == "-":
        return sys.stdin.buffer, None
    path = Path(named)
    try:
        return stack.enter_context(path.open("rb")), path.stat().st_size or None
    except OSError as exc:
        raise CommandError(f"cannot read {named}: {exc.strerror}") from None


def _form_of(named: str) -> str:
    return "csv" if named.lower().endswith(".csv") else "jsonl"


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _plain(value)

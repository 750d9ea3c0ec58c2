"""What the commands share: the workspace, and errors that say what to do."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TextIO, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError

from cli.finding import list_names
from cli.lines import Lines, LineWriter, one_line
from workspaces.acting import Actor, Door, acting
from workspaces.lookup import find_workspace
from workspaces.models import Workspace
from workspaces.races import BUSY, is_busy


class Command(BaseCommand, ABC):
    """A command that talks to the database."""

    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SYNC.has_database:
            raise CommandError(
                f"no stack is running here: {settings.SYNC.data_dir}/stack.env is missing."
                " Start one with `make up`, or set DATABASE_URL and REDIS_URL."
            )
        plain = self.stderr
        self.stdout = LineWriter(cast("TextIO", self.stdout))
        self.stderr = LineWriter(cast("TextIO", self.stderr))
        try:
            with acting(_whose_shell):
                self.run(**options)
                self.stdout.flush()
        except BrokenPipeError:
            # Whoever read the output has enough, such as `head`. Nor may Python's own last flush complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + signal.SIGPIPE)
        except OperationalError as exc:
            if is_busy(exc):
                raise CommandError(BUSY) from None
            reason = str(exc).splitlines()[0]
            raise CommandError(f"the database does not answer: {one_line(reason)}") from None
        except CommandError as exc:
            exc.args = tuple(
                arg if isinstance(arg, Lines) else one_line(str(arg)) for arg in exc.args
            )
            self.stderr = plain  # Django writes these lines, which are fit, in one piece
            raise

    @abstractmethod
    def run(self, *args: Any, **options: Any) -> None:
        """The command's work, with its options by name."""

    def write_json(self, value: object) -> None:
        """What `--json` asks for, times and ids as REST tells them. JSON escapes what a terminal would take for more
        than text."""
        self.stdout.write(Lines(json.dumps(value, indent=2, default=tell_as_rest)))


def tell_as_rest(value: Any) -> Any:
    """What `json` cannot write by itself, as REST writes it: times to the millisecond. Raises what
    `to_jsonable_python` does."""
    from pydantic_core import to_jsonable_python  # takes a while to import, and few need it

    try:
        return DjangoJSONEncoder().default(value)
    except TypeError:
        return to_jsonable_python(value)


def need_keys_of_stack() -> None:
    """Raises CommandError where secrets would be sealed with a key that the running stack cannot open."""
    known = settings.SYNC.stack_secrets_keys
    if known and settings.SECRETS_KEYS and settings.SECRETS_KEYS[0] not in known:
        raise CommandError(
            "the first of SECRETS_KEYS is not among the keys of the running stack, which could not open"
            " what it seals: give the stack this key, before the old ones, restart it, and run this again"
        )


class WorkspaceCommand(Command):
    """A command that works within one workspace."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workspace",
            default=settings.SYNC.workspace,
            help="name of the workspace (default: SYNC_WORKSPACE, or the only one there is)",
        )

    def choose_workspaces(self, name: str | None) -> list[Workspace]:
        """The named one, or all."""
        return [self.get_workspace(name)] if name else list(Workspace.objects.order_by("name"))

    def get_workspace(self, name: str | None) -> Workspace:
        if name:
            workspace = find_workspace(name)
            if workspace is None:
                raise CommandError(f"no workspace {name!r}; there are: {_names()}")
            return workspace
        several = list(Workspace.objects.all()[:2])
        if len(several) != 1:
            raise CommandError(f"name one with --workspace; there are: {_names()}")
        return several[0]


class VersionedCommand(WorkspaceCommand):
    """A command with an option --version, for a dataset's, in `number`."""

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        # Django's own --version would take the word.
        parser = super().create_parser(*args, **kwargs, conflict_handler="resolve")
        parser.add_argument(
            "--version",
            type=int,
            metavar="N",
            dest="number",
            help="which (default: the current one)",
        )
        return parser


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Makes an argument's `type` that refuses what lies outside, with these words."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:20]) <= most):
            raise argparse.ArgumentTypeError(f"give a whole number from {least} to {most}")
        return int(text)

    return convert


def _whose_shell() -> Actor:
    try:
        return Actor(getpass.getuser(), Door.COMMAND)
    except (KeyError, OSError):  # a container's account need not have a name
        return Actor(f"account {os.getuid()}", Door.COMMAND)


def _names() -> str:
    return list_names(Workspace.objects.all())

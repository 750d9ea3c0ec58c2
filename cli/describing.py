"""Makes the page of commands from their parsers: `python -m cli.describing > docs/commands.md`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

APPS = ("cli", "embedded")
INNER = ("demonstrate", "prepare")  # the stack calls these itself

_HEAD = """# Commands

Made from the commands' own parsers (`python -m cli.describing`); a test holds the two together. Each is called as
`python manage.py COMMAND`, picks a running stack up from `var/stack.env`, and has `--help`. Results go to
standard output, everything else (progress on a terminal, warnings, errors) to standard error. Exit status: 0 done,
1 it failed or could not be, 2 it was called in a way that cannot be meant; what else there is stands below.
"""


def commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app in APPS)


def describe_commands() -> str:
    """Markdown, one section for each command."""
    sections = ("\n".join(_describe(name)) for name in commands() if name not in INNER)
    return "\n".join([_HEAD, *sections])


def _describe(name: str) -> Iterator[str]:
    command = load_command_class(get_commands()[name], name)
    parser = command.create_parser("manage.py", name)
    plain = {action.dest for action in _Plain().create_parser("manage.py", name)._actions}
    own = [action for action in parser._actions if action.dest not in plain]
    usage = " ".join(filter(None, [name, *(_usage(action) for action in own)]))
    yield from (f"## {name}", "", f"`{usage}`", "", str(command.help), "")
    told = [action for action in own if action.option_strings and action.help]
    if told:
        yield from ("| option | |", "|---|---|")
        for action in told:
            flag, words = (text.replace("|", "\\|") for text in (_usage(action), str(action.help)))
            yield f"| `{flag.strip('[]')}` | {words} |"
        yield ""


def _usage(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        name = "|".join(map(str, action.choices))
    if not action.option_strings:
        return f"[{name}]" if action.nargs == "?" else name
    flag = action.option_strings[-1]
    return f"[{flag}]" if action.nargs == 0 else f"[{flag} {name}]"


class _Plain(BaseCommand):
    """What every command of Django has."""


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
    import django

    django.setup()
    sys.stdout.write(describe_commands())

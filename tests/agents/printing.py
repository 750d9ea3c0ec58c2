"""`manage.py mcp` with a tool more, which prints in every way that a library might."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402 — Django's settings come first

from api.mcp.caller import McpCaller  # noqa: E402
from api.mcp.tools.table import TOOLS  # noqa: E402
from api.mcp.tools.tool import Arguments, Hints, Tool  # noqa: E402
from workspaces.models import Role  # noqa: E402

WORDS = "words that are no message"


class NoArguments(Arguments):
    pass


def _print(caller: McpCaller, given: Any) -> dict[str, str]:
    print(WORDS)  # noqa: T201 — the very thing
    sys.stdout.flush()
    os.write(1, f"{WORDS}\n".encode())
    subprocess.run(["/bin/echo", WORDS], check=True)
    return {"said": "it"}


TOOLS["print"] = Tool(
    name="print",
    title="Print",
    description="Prints.",
    role=Role.VIEWER,
    hints=Hints(),
    arguments=NoArguments,
    answer={"type": "object"},
    call=_print,
)

if __name__ == "__main__":
    call_command("mcp")

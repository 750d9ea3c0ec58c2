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
from api.shapes.answers import Told  # noqa: E402
from workspaces.models import Role  # noqa: E402

WORDS = "words that are no message"


class SaidOut(Told):
    said: str


class Print(Arguments):
    """Prints."""

    def answer(self, caller: McpCaller) -> Any:
        print(WORDS)  # noqa: T201 — the very thing
        sys.stdout.flush()
        os.write(1, f"{WORDS}\n".encode())
        subprocess.run(["/bin/echo", WORDS], check=True)
        return {"said": "it"}


if __name__ == "__main__":
    TOOLS["print"] = Tool("print", "Print", Role.VIEWER, Hints(), Print, SaidOut)
    call_command("mcp")

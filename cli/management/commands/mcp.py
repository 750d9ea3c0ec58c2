"""`mcp`: the MCP server on standard input and output."""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

from django.conf import settings

from api.mcp.stdio import Bridge
from cli.command import Command as DatabaseCommand


class Command(DatabaseCommand):
    help = "Serve MCP on standard input and output, for a client that starts this command, with the token in SYNC_TOKEN."

    def run(self, *args: Any, **options: Any) -> None:
        with keep_output() as output:

            def say(line: bytes) -> None:
                output.write(line + b"\n")
                output.flush()

            Bridge(settings.SYNC.sync_token, say).serve(sys.stdin.buffer)


def keep_output() -> BinaryIO:
    """Takes standard output for messages alone: whatever else prints, prints to standard error from now on."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return kept

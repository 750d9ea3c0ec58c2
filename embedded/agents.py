"""How an agent's client is connected to a running stack: lines to paste. No token stands in them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from embedded.child import PROJECT
from embedded.stack_env import NAME

_USUAL = PROJECT / "var"


def tell_agents(url: str, data_dir: Path) -> str:
    """The address, the line of a client that speaks HTTP, and the JSON of one that starts a program."""
    environment = shlex.quote(str(data_dir / NAME))
    header = '"Authorization: Bearer $SYNC_TOKEN"'
    program: dict[str, object] = {
        "command": sys.executable,
        "args": [str(PROJECT / "manage.py"), "mcp"],
    }
    if data_dir != _USUAL:  # there it finds the stack by itself
        program["env"] = {"DATA_DIR": str(data_dir)}
    lines = [
        f"Agents reach it by MCP at {url}/mcp (docs/mcp.md). Paste one of these into a client:",
        f"  . {environment} && claude mcp add --transport http syncproject {url}/mcp --header {header}",
        f"  {json.dumps({'mcpServers': {'syncproject': program}})}",
    ]
    return "\n".join(["", *lines, ""])

"""A server on the official SDK of Python, in either of its lines: `python sdk_mcp_server.py PORT [json] [tools]`.

With `tools` it has two tools and no resources.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

TEXTS = {"kit://notes/0/a.md": "first\n", "kit://grün/é.md": "Grüße 😀\n", "kit://empty": ""}
BLOB = bytes(range(256)) * 4


def main() -> None:
    port, answers_json = int(sys.argv[1]), "json" in sys.argv
    where: dict[str, Any] = {"host": "127.0.0.1", "port": port, "json_response": answers_json}
    at_run: dict[str, Any] = {}
    try:  # the line 2
        made = import_module("mcp.server.mcpserver").MCPServer
        where, at_run = at_run, where
        kinds = import_module("mcp.server.mcpserver.resources")
    except ImportError:
        made = import_module("mcp.server.fastmcp").FastMCP
        kinds = import_module("mcp.server.fastmcp.resources")
    server: Any = made("kit", **where)
    if "tools" in sys.argv:
        server.add_tool(_ring, name="ring")
        server.add_tool(_ring, name="ring-again")
        server.run("streamable-http", **at_run)
        return
    for uri, text in TEXTS.items():
        server.add_resource(kinds.TextResource(uri=uri, name=uri, text=text))
    server.add_resource(kinds.BinaryResource(uri="kit://bin/x.png", name="x", data=BLOB))

    server.run("streamable-http", **at_run)


def _ring() -> str:
    return "rung"


if __name__ == "__main__":
    main()

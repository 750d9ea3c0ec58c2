"""The peer: the official SDK's own server with one tool that reads nothing. Run by the interpreter of its own environment."""

from __future__ import annotations

import sys

import uvicorn
from mcp.server import MCPServer

server = MCPServer("peer")


@server.tool()  # type: ignore[untyped-decorator]  # it is not installed where types are checked
def sync_status() -> dict[str, int]:
    """How syncs stand."""
    return {"runs": 0}


if __name__ == "__main__":
    app = server.streamable_http_app(stateless_http=True, json_response=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")

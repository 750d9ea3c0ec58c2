"""MCP servers of other makers, on loopback: `deploy/install-mcp-clients` brings them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from embedded.ports import find_free
from tests.answering import ROOT
from tests.hosts.child import serving

_INSTALLED = ROOT / ".venv/mcp-clients"
_EVERYTHING = "node_modules/@modelcontextprotocol/server-everything/dist/index.js"


@contextlib.contextmanager
def running_everything(home: Path) -> Iterator[int]:
    """The reference server of the protocol's own authors, of the revisions with sessions. Yields the port."""
    port, node = find_free(), _INSTALLED / "node"
    command = [
        *("env", f"PORT={port}", str(node / "bin/node"), str(node / _EVERYTHING)),
        "streamableHttp",
    ]
    with serving(command, port, home / "everything.log"):
        yield port


@contextlib.contextmanager
def running_sdk_server(version: str, home: Path, *flags: str) -> Iterator[int]:
    """A server on the official SDK of Python, in the version that is named. Yields the port."""
    port = find_free()
    python = _INSTALLED / f"mcp-{version}/bin/python"
    server = Path(__file__).with_name("sdk_mcp_server.py")
    command = [str(python), str(server), str(port), *flags]
    with serving(command, port, home / f"mcp-{version}.log"):
        yield port

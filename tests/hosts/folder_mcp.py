"""An MCP server whose resources are the files of a folder: `/mcp/PATH` serves the folder PATH of what it was given.

A URI is the file's path, percent-encoded and without a scheme, so that the paths of the entries are those of the files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.scripted_mcp import MODERN, Call, ScriptedMcp

_PAGE = 500
_PIECE_BYTES = 48 * 1024  # whole groups of base64


def _list_files(folder: Path) -> list[Path]:
    """Behind links to files too, but in no folder behind a link."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(place, name) for name in sorted(names)]
    return [path for path in found if path.is_file()]


class _Folder(ScriptedMcp):
    def __init__(self, folder: Path, conversation: Conversation) -> None:
        super().__init__(eras=(MODERN,), page=_PAGE)
        self._folder = folder
        self._conversation = conversation

    def list(self, cursor: str | None) -> Any:
        self.resources = dict.fromkeys(map(self._uri, _list_files(self._folder)), "")
        return super().list(cursor)

    def tell(self, call: Call, told: Any, conversation: Conversation) -> None:
        if call.method != "resources/read":
            super().tell(call, told, conversation)
            return
        path = self._folder / _decode(call.params["uri"])
        try:
            with path.open("rb") as file:
                self._send(call, file, conversation)
        except OSError as exc:
            error = {"code": -32602, "message": f"Resource not found: {exc.strerror}"}
            body = json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error})
            conversation.answer(body.encode(), "Content-Type: application/json")

    def _send(self, call: Call, file: Any, conversation: Conversation) -> None:
        """As it is read: no file is too large."""
        uri = json.dumps(call.params["uri"])
        head = f'{{"jsonrpc":"2.0","id":{call.id},"result":{{"contents":[{{"uri":{uri},"blob":"'
        fields = "Content-Type: application/json\r\nConnection: close"
        conversation.say(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{head}".encode())
        while piece := file.read(_PIECE_BYTES):
            conversation.say(base64.b64encode(piece))
        conversation.say(b'"}]}}')
        conversation.hang_up()

    def _uri(self, path: Path) -> str:
        return quote_from_bytes(os.fsencode(path.relative_to(self._folder)), safe="/")


def _decode(uri: str) -> str:
    return os.fsdecode(unquote_to_bytes(uri))


@contextlib.contextmanager
def running_folder_mcp(served: Path) -> Iterator[int]:
    """Yields the port."""

    def script(request: Request, conversation: Conversation) -> None:
        folder = served / _decode(request.target.removeprefix("/mcp/"))
        if folder.is_dir():
            _Folder(folder, conversation).answer(request, conversation)
        else:
            conversation.answer(b"no such folder", status="404 Not Found")

    with scripted_http(script) as host:
        yield host.port

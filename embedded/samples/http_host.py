"""An HTTP host with folder pages on loopback: `python -m embedded.samples.http_host FOLDER PORT`.

FOLDER/http is what it serves. The standard library's handler resolves names below that folder only.
"""

from __future__ import annotations

import signal
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class FolderPages(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as on a real host

    def translate_path(self, path: str) -> str:
        """Returns the path of the name. What lies outside, through a link, is answered as missing."""
        translated = Path(super().translate_path(path))
        root = Path(self.directory).resolve()
        if not translated.resolve().is_relative_to(root):
            return str(root / "\N{NO ENTRY SIGN}")
        # The handler tells a folder from a file by the closing slash.
        return f"{translated}/" if path.endswith("/") else str(translated)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the handler's name
        """Silent: the records tell what was fetched."""


def serve_http(folder: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    handler = partial(FolderPages, directory=str(folder / "http"))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # In a thread: shutdown waits for the loop that the signal has interrupted.
            signal.signal(number, lambda *_: Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    serve_http(Path(sys.argv[1]), int(sys.argv[2]))

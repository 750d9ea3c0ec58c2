"""A web server that tells digests (RFC 9530) to who asks: `python -m tests.hosts.digest_http`."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import serving


class Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        path = Path(self.translate_path(self.path))
        if "sha-256" in self.headers.get("Want-Repr-Digest", "") and path.is_file():
            digest = base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
            self.send_header("Repr-Digest", f"sha-512=:AA==:, sha-256=:{digest}:")
        super().end_headers()


@contextlib.contextmanager
def running_digest_http(home: Path, folder: Path) -> Iterator[int]:
    port = find_free()
    command = [sys.executable, "-m", "tests.hosts.digest_http", str(port), str(folder)]
    with serving(command, port, home / "digest_http.log"):
        yield port


if __name__ == "__main__":
    handler = partial(Handler, directory=sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()

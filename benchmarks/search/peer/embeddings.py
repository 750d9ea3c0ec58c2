"""`python -m benchmarks.search.peer.embeddings`: a service with `/v1/embeddings` that costs next to nothing, for both sides
of the comparison. A vector is the sum of fixed directions, one for each word, so texts with the same words are near.

It prints its port, and ends when its input does.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSIONS = 512
_WORDS = 8_192
_directions = np.random.default_rng(7).normal(size=(_WORDS, DIMENSIONS)).astype("float32")


def embed(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    places = [zlib.crc32(word) % _WORDS for word in text.lower().encode().split()] or [0]
    total = _directions[places].sum(axis=0)
    unit: np.ndarray[Any, np.dtype[np.float32]] = total / np.linalg.norm(total)
    return unit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        is_base64 = asked.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": n,
                "embedding": base64.b64encode(vector.tobytes()).decode()
                if is_base64
                else vector.tolist(),
            }
            for n, vector in enumerate(map(embed, texts))
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        told = {"object": "list", "model": asked["model"], "data": data, "usage": usage}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return None


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)  # noqa: T201 - the answer to who started it
    sys.stdin.read()

"""The lightest client system that still does its work: it parses, dedups and logs each batch, then answers.

`python -m benchmarks.outbox.receiver LOG` prints its port. One thread a connection, bare sockets: what it costs is to be
the receiver's least, so that the figures are the sender's.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import IO, Any

import msgspec


class _Reading(msgspec.Struct, gc=False):
    key: str
    payload: dict[str, Any]


class _Batch(msgspec.Struct):
    batch_id: str
    sequence_from: int
    readings: list[_Reading]


_decode = msgspec.json.Decoder(_Batch).decode
_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class _Receiver:
    def __init__(self, log: IO[str]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._batches: dict[str, bytes] = {}
        self._keys: set[str] = set()

    def take(self, body: bytes) -> bytes:
        batch = _decode(body)
        with self._lock:
            if (known := self._batches.get(batch.batch_id)) is not None:
                return known
            keys = [reading.key for reading in batch.readings]
            fresh = [key for key in keys if key not in self._keys]
            self._keys.update(fresh)
            self._log.write(f"{batch.batch_id} {batch.sequence_from} {' '.join(fresh)}\n")
            answer = b'{"success":true,"accepted":%d}' % len(keys)
            self._batches[batch.batch_id] = answer
        return answer

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb", buffering=1 << 20) as source:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while source.readline():
                length = 0
                while (line := source.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                answer = self.take(source.read(length)) if length else b"{}"
                connection.sendall(_HEAD.format(len(answer)).encode() + answer)


def main() -> None:
    with (
        Path(sys.argv[1]).open("w", encoding="utf-8") as log,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        receiver = _Receiver(log)
        print(server.getsockname()[1], flush=True)  # noqa: T201 — a program's answer
        while True:
            connection, _ = server.accept()
            threading.Thread(target=receiver.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()

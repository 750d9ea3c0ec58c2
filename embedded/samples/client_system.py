"""A client system for trying the outbox: it takes batches of readings, each once, and misbehaves on demand.

It does what a client system should: it looks at the batch's Idempotency-Key before anything else, and answers a
batch that it has had with the answer that it gave; a reading that it has is not taken twice. What it took stands in
a log of JSON lines (`batch`, `stream`, `from`, `to`, `sha256`, `keys`; `again`: what it had), which it reads again when it starts. With
`--tries` a second log tells of each batch that came, taken or not (`id`, `sha256`). A reading whose payload holds
`"reject": "why"` is refused by name, always.

    python -m embedded.samples.client_system --port 8099 --log taken.jsonl --key secret

`POST /control` sets its mood, `{}` ends it:
`{"status": 503, "retry_after": 6, "times": 3}` answers so; `{"slow_s": 2}` waits first; `{"cut": true}` takes the
batch and cuts the answer off; `{"silent": true}` takes it and hangs up; `{"body": "<html>…"}` answers 200 with that;
`{"down": true}` hangs up on everybody; `{"hold": true}` answers no batch until the mood is another; `{"refuse": ["key"]}` answers 400 to batches with one of these keys; `{"reject": {"key": "reason"}}` takes the others
(207); `{"retry": ["key"]}` wants these once more; `{"max_bytes": 6000}` answers 413 above. `times`: so often.
`POST /lose` with `{"keys": [...]}` makes it forget readings, for trying `reconcile`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

JUDGED = frozenset({400, 413, 422})  # refusals that speak of the batch itself


@dataclass
class TakenLog:
    """What was taken, behind one lock: keys and batches stay known for ever."""

    log: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    batches: dict[str, tuple[int, dict[str, Any]]] = field(
        default_factory=dict
    )  # status and answer
    keys: set[str] = field(default_factory=set)
    hours: dict[str, tuple[int, int]] = field(default_factory=dict)
    hour_keys: dict[str, set[str]] = field(default_factory=dict)
    doubles: int = 0  # readings that came again in another batch

    def load(self) -> None:
        if not self.log.exists():
            return
        whole = 0
        with self.log.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # cut by a crash, so it was never answered
                whole += len(line)
                said = json.loads(line)
                self.batches[said["batch"]] = (said["status"], said["answer"])
                self._count(said["keys"], said["at"])
        os.truncate(self.log, whole)

    def take(
        self,
        batch: dict[str, Any],
        readings: list[dict[str, Any]],
        answer: tuple[int, dict[str, Any]],
        sha256: str,
    ) -> None:
        keys = [reading["key"] for reading in readings if reading["key"] not in self.keys]
        again = [reading["key"] for reading in readings if reading["key"] in self.keys]
        self.doubles += len(again)
        now = datetime.now(UTC).isoformat()
        told = {
            "batch": batch["batch_id"], "stream": batch["stream"], "from": batch["sequence_from"], "to": batch["sequence_to"],
            "sha256": sha256, "status": answer[0], "answer": answer[1], "at": now, "keys": keys,
            "again": again,
        }  # fmt: skip
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")
        self.batches[batch["batch_id"]] = answer
        self._count(keys, now)

    def lose(self, keys: list[str]) -> None:
        """Forgets readings, as a disk that was restored from an old copy has."""
        for key in set(keys) & self.keys:
            hour = next(hour for hour, known in self.hour_keys.items() if key in known)
            count, total = self.hours[hour]
            self.hours[hour] = (count - 1, (total - _hash(key)) % (1 << 64))
            self.hour_keys[hour].discard(key)
            self.keys.discard(key)

    def _count(self, keys: list[str], at: str) -> None:
        self.keys.update(keys)
        hour = f"{at[:13]}:00:00Z"
        count, total = self.hours.get(hour, (0, 0))
        total += sum(map(_hash, keys))
        self.hour_keys.setdefault(hour, set()).update(keys)
        self.hours[hour] = (count + len(keys), total % (1 << 64))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


class Mood:
    """How it misbehaves, and how often yet."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._said: dict[str, Any] = {}

    def set(self, said: dict[str, Any]) -> None:
        with self._lock:
            self._said = dict(said)
            self._lock.notify_all()

    def wait_while_held(self) -> None:
        with self._lock:
            self._lock.wait_for(lambda: "hold" not in self._said)

    def now(self) -> dict[str, Any]:
        with self._lock:
            return dict(self._said)

    def take(self) -> dict[str, Any]:
        """For a batch: one of the `times` is over."""
        with self._lock:
            said = dict(self._said)
            if "times" in said:
                self._said["times"] -= 1
                if self._said["times"] <= 0:
                    self._said = {}
            return said


class Bearing:
    """How many batches are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken: ClassVar[TakenLog]
    mood: ClassVar[Mood]
    key: ClassVar[str]
    configuration: ClassVar[dict[str, Any]] = {"batch_size": 1000}
    heartbeats: ClassVar[list[dict[str, Any]]] = []
    seen: ClassVar[list[dict[str, Any]]] = []  # of each batch that came: id and digest
    tries: ClassVar[Path | None] = None
    load: ClassVar[Bearing]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/taken":
            with self.taken.lock:
                told = {
                    "readings": len(self.taken.keys),
                    "batches": len(self.taken.batches),
                    "doubles": self.taken.doubles,
                    "heartbeats": len(self.heartbeats),
                    "most_at_once": self.load.most,
                    "seen": self.seen[-1000:],
                }
            self._answer(200, told)
        elif path == "/health":
            if "down" in self.mood.now():
                self._hang_up()
            else:
                self._answer(200, {"status": "ok"})
        elif path == "/config":
            self._tell_configuration()
        elif path == "/digest":
            with self.taken.lock:
                items = [
                    {"hour": hour, "count": count, "keys_sum": str(total)}
                    for hour, (count, total) in sorted(self.taken.hours.items())
                ]
            self._answer(200, {"items": items})
        else:
            self._answer(404, {"error": "no such path"})

    def do_OPTIONS(self) -> None:
        self._answer(204, None, {"Allow": "POST, OPTIONS"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/control":
            self.mood.set(json.loads(raw or b"{}"))
            self._answer(200, {})
            return
        if self.path == "/configuration":
            type(self).configuration = json.loads(raw)
            self._answer(200, {})
            return
        if self.path == "/lose":
            with self.taken.lock:
                self.taken.lose(json.loads(raw)["keys"])
            self._answer(200, {})
            return
        if self.key and self.key not in (
            self.headers.get("X-API-Key"),
            (self.headers.get("Authorization") or "").removeprefix("Bearer "),
        ):
            self._answer(401, {"error": "another key"})
        elif self.path == "/auth":
            self._answer(200, {"token": self.key, "expires_in": 3600})
        elif self.path == "/heartbeat":
            self.heartbeats.append(json.loads(raw))
            self._answer(200, {})
        elif self.path == "/readings/batch":
            with self.load:
                self._take_batch(raw)
        else:
            self._answer(404, {"error": "no such path"})

    def _take_batch(self, raw: bytes) -> None:
        mood = self.mood.take()
        if "down" in mood:
            self._hang_up()
            return
        if "slow_s" in mood:
            time.sleep(mood["slow_s"])
        sha256 = hashlib.sha256(raw).hexdigest()
        self._note_try({"id": self.headers.get("Idempotency-Key"), "sha256": sha256})
        self.mood.wait_while_held()
        with self.taken.lock:
            is_known = self.headers.get("Idempotency-Key") in self.taken.batches
        refusal = _refusal_of(mood, raw)
        # One that was taken is not judged anew: what sends it would take it for refused, and send its readings again.
        if refusal and not (is_known and refusal in JUDGED):
            self._answer(
                refusal,
                {"error": f"as it was told: {refusal}"},
                {"Retry-After": str(mood["retry_after"])} if "retry_after" in mood else {},
            )
            return
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        if self.headers.get("Content-Digest") != f"sha-256=:{digest}:":
            self._answer(400, {"error": "the digest is another"})
            return
        batch = json.loads(raw)
        with self.taken.lock:
            known = self.taken.batches.get(batch["batch_id"])
            if known is None:
                status, answer, readings = _judge(batch, mood)
                if status != 400:
                    self.taken.take(batch, readings, (status, answer), sha256)
            else:
                status, answer = known
        if mood.get("silent"):
            self._hang_up()
        elif "body" in mood:
            self._send(200, mood["body"].encode(), {"Content-Type": "text/html"})
        elif mood.get("cut"):
            self._send(status, json.dumps(answer).encode(), {}, cut=True)
        else:
            self._answer(status, answer, {"Idempotent-Replayed": "true"} if known else {})

    def _note_try(self, told: dict[str, Any]) -> None:
        self.seen.append(told)
        if self.tries is not None:
            with self.taken.lock, self.tries.open("a", encoding="utf-8") as log:
                log.write(json.dumps(told) + "\n")

    def _tell_configuration(self) -> None:
        body = json.dumps(self.configuration, sort_keys=True).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == etag:
            self._send(304, b"", {"ETag": etag})
        else:
            self._send(200, body, {"ETag": etag, "Content-Type": "application/json"})

    def _answer(
        self, status: int, told: dict[str, Any] | None, fields: dict[str, str] | None = None
    ) -> None:
        body = b"" if told is None else json.dumps(told).encode()
        self._send(status, body, {"Content-Type": "application/json", **(fields or {})})

    def _send(self, status: int, body: bytes, fields: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def _hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — as it is called there
        return None


def _refusal_of(mood: dict[str, Any], raw: bytes) -> int:
    """The status that the mood answers without a look at the batch; 0: it looks."""
    if "status" in mood:
        return int(mood["status"])
    return 413 if len(raw) > mood.get("max_bytes", len(raw)) else 0


def _judge(
    batch: dict[str, Any], mood: dict[str, Any]
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Status, answer, and the readings that are taken."""
    readings = batch["readings"]
    refused = set(mood.get("refuse", ()))
    if refused.intersection(reading["key"] for reading in readings):
        return 400, {"error": "a reading is invalid"}, []
    why = dict(mood.get("reject", {})) | {
        reading["key"]: str(reading["payload"]["reject"])
        for reading in readings
        if "reject" in reading["payload"]
    }
    again = set(mood.get("retry", ()))
    rejected = [
        {"key": key, "code": "invalid", "reason": why.get(key, "later"), "retry": key in again}
        for key in (reading["key"] for reading in readings)
        if key in why or key in again
    ]
    named = {item["key"] for item in rejected}
    taken = [reading for reading in readings if reading["key"] not in named]
    answer: dict[str, Any] = {
        "success": True,
        "accepted": len(taken),
        "batch_id": batch["batch_id"],
    }
    if rejected:
        answer["rejected"] = rejected
    return (207 if rejected else 200), answer, taken


def make_server(port: int, log: Path, key: str, tries: Path | None = None) -> ThreadingHTTPServer:
    taken = TakenLog(log)
    taken.load()
    names: dict[str, Any] = {
        "taken": taken,
        "mood": Mood(),
        "key": key,
        "heartbeats": [],
        "seen": [],
        "tries": tries,
        "load": Bearing(),
    }
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), names))
    server.daemon_threads = True
    return server


def serve(argv: list[str] | None = None, ready: Callable[[int], None] = lambda port: None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--key", default="")
    parser.add_argument(
        "--key-file", type=Path, help="holds the key, which a process list then does not show"
    )
    parser.add_argument("--tries", type=Path)
    given = parser.parse_args(argv)
    key = given.key_file.read_text(encoding="utf-8").strip() if given.key_file else given.key
    server = make_server(given.port, given.log, key, given.tries)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    ready(server.server_address[1])
    server.serve_forever()


if __name__ == "__main__":
    serve()

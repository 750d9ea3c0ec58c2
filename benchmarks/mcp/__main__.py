"""`python -m benchmarks.mcp`: a tool that reads, asked by one agent and by 16 at once, beside the official SDK's own server;
and what REST still takes while agents ask without end."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import stand
from embedded import ports, programs
from embedded.child import PROJECT, Child, Program

AGENTS = 16
P95_MS = 15.0  # the goal, of a tool that reads
SECONDS = 6.0
MODERN = "2026-07-28"
PEER = PROJECT / ".venv" / "mcp-clients" / "mcp-2.3.0" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Walls:
    rate: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Question:
    """One request, asked again and again. `every_s`: how often one asker asks; 0: as fast as it is answered."""

    port: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    every_s: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mcp", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each row")
    asked = parser.parse_args()
    subprocess.run([PROJECT / "deploy" / "install-mcp-clients"], check=True)  # noqa: S603 — our own
    with stand.product() as home, stand.broker(home), _web(home) as port, _peer() as peer:
        token = _fill()
        ours = {name: call_of(port, name, token) for name in ("list_connectors", "sync_status")}
        theirs = call_of(peer, "sync_status", "")
        rest = Question(port, "GET", "/api/workspaces/bench/connectors?limit=20", _signed(token))
        for question in (*ours.values(), theirs, rest):
            ask(question, 4, 2.0)
        say("| | askers | a second | p50 ms | p95 ms |")
        say("|---|---|---|---|---|")
        for agents, every_s in ((1, 0.0), (AGENTS, 0.2), (AGENTS, 0.0)):
            how = (
                f"{agents}, each {1 / every_s:.0f} a second"
                if every_s
                else f"{agents}, without end"
            )
            for name, question in ours.items():
                row(f"{name}, ours", how, paced(question, every_s), agents, asked.seconds)
            row(
                "the SDK's server, a tool that reads nothing",
                how,
                paced(theirs, every_s),
                agents,
                asked.seconds,
            )
        row("REST alone", "2", rest, 2, asked.seconds)
        with flooding(ours["sync_status"]) as count:
            row("REST among agents without end", "2", rest, 2, asked.seconds)
        say(
            f"\nthe {AGENTS} agents made {count():,} calls meanwhile; goal of a tool that reads: p95 ≤ {P95_MS:g} ms"
        )


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


def row(name: str, how: str, question: Question, askers: int, seconds: float) -> None:
    found = ask(question, askers, seconds)
    say(f"| {name} | {how} | {found.rate:.0f} | {found.p50_ms:.1f} | {found.p95_ms:.1f} |")


def call_of(port: int, tool: str, token: str) -> Question:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    params = {"name": tool, "arguments": {}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        **_signed(token),
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    return Question(port, "POST", "/mcp", headers, json.dumps(body).encode())


def paced(question: Question, every_s: float) -> Question:
    return Question(
        question.port, question.method, question.path, question.headers, question.body, every_s
    )


def ask(question: Question, askers: int, seconds: float) -> Walls:
    until = time.perf_counter() + seconds

    def one(number: int) -> list[float]:
        if question.every_s:
            time.sleep(question.every_s * number / askers)
        return list(_ask_until(question, lambda: time.perf_counter() >= until))

    began = time.perf_counter()
    with ThreadPoolExecutor(askers) as pool:
        walls = sorted(wall for each in pool.map(one, range(askers)) for wall in each)
    spent = time.perf_counter() - began
    cuts = statistics.quantiles([wall * 1000 for wall in walls], n=100, method="inclusive")
    return Walls(len(walls) / spent, cuts[49], cuts[94])


def _ask_until(question: Question, has_ended: Callable[[], bool]) -> Iterator[float]:
    session = http.client.HTTPConnection("127.0.0.1", question.port, timeout=30)
    while not has_ended():
        began = time.perf_counter()
        session.request(question.method, question.path, question.body or None, question.headers)
        response = session.getresponse()
        told = response.read()
        wall = time.perf_counter() - began
        if response.status != 200 or b'"error"' in told[:200]:
            raise RuntimeError(f"{question.path}: {response.status} {told[:300]!r}")
        yield wall
        if question.every_s > wall:
            time.sleep(question.every_s - wall)
    session.close()


@contextmanager
def flooding(question: Question) -> Iterator[Callable[[], int]]:
    """Agents ask without end within the block; yields what counts their calls."""
    done = threading.Event()
    counts = [0] * AGENTS

    def flood(number: int) -> None:
        for _ in _ask_until(question, done.is_set):
            counts[number] += 1

    with ThreadPoolExecutor(AGENTS) as pool:
        floods = [pool.submit(flood, number) for number in range(AGENTS)]
        try:
            yield lambda: sum(counts)
        finally:
            done.set()
    for each in floods:
        each.result()


def _signed(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _fill() -> str:
    """A workspace with 20 connectors and as many jobs, each with records; its token."""
    from benchmarks.surfaces.rows import fill
    from workspaces.models import Role, Workspace
    from workspaces.tokens import create_token

    fill(jobs=20, records=2_000)
    workspace = Workspace.objects.get(name="bench")
    return create_token(workspace, name="bench", role=Role.VIEWER)[1]


@contextmanager
def _web(home: Path) -> Iterator[int]:
    """gunicorn as the one-machine stack runs it, with a throttle that lets all calls through."""
    port = ports.find_free()
    env = dict(os.environ) | {"API_REQUESTS_PER_MINUTE": "100000000"}
    with _running(programs.web(env, Path(home), "127.0.0.1", port)):
        yield port


@contextmanager
def _peer() -> Iterator[int]:
    port = ports.find_free()
    words = [str(PEER), str(Path(__file__).with_name("peer.py")), str(port)]
    peer = subprocess.Popen(words)  # noqa: S603 — our own words
    try:
        deadline = time.monotonic() + 60
        while not _is_up(port):
            if time.monotonic() > deadline:
                raise TimeoutError("the peer does not answer")
            time.sleep(0.2)
        yield port
    finally:
        peer.terminate()
        peer.wait()


def _is_up(port: int) -> bool:
    session = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        session.request("GET", "/")
        return session.getresponse().status > 0
    except OSError:
        return False
    finally:
        session.close()


@contextmanager
def _running(program: Program) -> Iterator[None]:
    server = Child(program)
    server.start()
    try:
        server.wait_until_ready()
        yield
    finally:
        server.stop()


if __name__ == "__main__":
    main()

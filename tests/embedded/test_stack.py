"""`manage.py stack` as an operator meets it: real processes, from nothing to a stop."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from embedded import home
from embedded.child import PROJECT
from tests.embedded.processes import left
from tests.hosts.databases import drop_database
from tests.servers import servers
from tests.waiting import until

pytestmark = pytest.mark.process

UP_S = 120.0


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """What an operator's shell holds: nothing of the test run's own servers."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(data_dir),
        "DATA_DIR": str(data_dir),
        "WEB_PORT": "0",
        "FLOWER_PORT": "0",
        "WORKERS": "1",
        **more,
    }


class Stack:
    def __init__(self, data_dir: Path, *words: str, **more: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.out")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "stack", *words],
                cwd=PROJECT,
                env=environment(data_dir, **more),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_up(self, times: int = 1) -> None:
        def up() -> bool:
            assert self.process.poll() is None, self.said
            return self.said.count("SyncProject is up.") == times

        until(up, "the stack did not come up", within_s=UP_S)

    def env(self) -> Mapping[str, str]:
        """What stack.env says, as a shell reads it."""
        lines = (self.data_dir / "stack.env").read_text().splitlines()
        pairs = (line.partition("=") for line in lines if not line.startswith("#"))
        return {name: "".join(shlex.split(value)) for name, _, value in pairs}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=90)

    def clear(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        home.wait_for_leftovers(self.data_dir, print)
        until(lambda: not left(self.data_dir), "a process stayed", within_s=60)
        self.log.unlink(missing_ok=True)


@pytest.fixture
def stack(data_dir: Path) -> Iterator[Stack]:
    stack = Stack(data_dir)
    yield stack
    stack.clear()


def run(data_dir: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "stack"],
        cwd=PROJECT,
        env=environment(data_dir, **more),
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


def test_killed_with_9_it_leaves_nothing_and_starts_again_at_once(
    stack: Stack, data_dir: Path
) -> None:
    stack.wait_until_up()
    before = stack.env()
    assert before["SYNC_WORKSPACE"] == "default"
    with psycopg.connect(before["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    stack.process.kill()
    stack.process.wait()

    # The stale stack.env must not be taken for servers of the operator's own.
    assert (data_dir / "stack.env").exists()
    again = Stack(data_dir)
    try:
        again.wait_until_up(times=2)
        with psycopg.connect(again.env()["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert again.end() == 0
        assert not left(data_dir)
    finally:
        again.clear()


@pytest.fixture
def external_database() -> Iterator[str]:
    own, name = servers().database_url, "external_stack"
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{own.rpartition('/')[0]}/{name}"
    with psycopg.connect(own, autocommit=True) as connection:
        drop_database(connection, name)


def test_external_servers_are_used_when_given(data_dir: Path, external_database: str) -> None:
    (data_dir / "redis_url").write_text(servers().redis_url)
    stack = Stack(
        data_dir, DATABASE_URL=external_database, REDIS_URL_FILE=str(data_dir / "redis_url")
    )
    try:
        stack.wait_until_up()
        assert stack.env()["DATABASE_URL"] == external_database
        assert stack.env()["REDIS_URL"] == servers().redis_url
        assert not (data_dir / "postgres").exists()
        assert not (data_dir / "valkey").exists()
        assert stack.end() == 0
    finally:
        stack.clear()
        with redis.Redis.from_url(servers().redis_url) as client:
            client.flushall()


@pytest.mark.parametrize("name", ["WEB_PORT", "FLOWER_PORT"])
def test_a_taken_port_is_one_clear_line(data_dir: Path, name: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = run(data_dir, **{name: port})
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"port {port} on 127.0.0.1 is taken: set {name} to another (0 takes a free one)"
    )
    assert not (data_dir / "postgres").exists()


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(data_dir: Path) -> None:
    (data_dir / "var").write_text("a file in its place")
    done = run(data_dir / "var")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"cannot write to {data_dir}/var (File exists): set DATA_DIR to a folder of yours"
    )


def test_the_recipes_process_is_the_stack_itself_tied_to_make() -> None:
    make = subprocess.run(
        ["make", "--dry-run", "up"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert make.stdout.splitlines()[-1] == "exec .venv/bin/python manage.py stack --tied"


def sessions(env: Mapping[str, str], part: str) -> set[int]:
    """Of the processes that told of themselves within the last seconds."""
    with psycopg.connect(env["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT session FROM syncjobs_processsign"
            " WHERE part = %s AND seen_at > now() - interval '5 s'",
            [part],
        ).fetchall()
    return {session for (session,) in rows}


def hang(stack: Stack, name: str, part: str, number: int) -> None:
    """Waits until it is replaced."""
    env = stack.env()
    (stuck,) = until(lambda: sessions(env, part), f"{part} did not tell of itself", within_s=60)
    told = f"{name} is stuck, silent for"
    times = stack.said.count(told)
    os.killpg(stuck, number)
    until(lambda: stack.said.count(told) > times, f"{name} was not ended", within_s=UP_S)
    until(
        lambda: sessions(env, part) - {stuck},
        f"the new {name} did not tell of itself",
        within_s=UP_S,
    )


def test_a_process_that_is_stuck_as_a_whole_is_replaced_and_syncs_go_on(
    data_dir: Path,
) -> None:
    """Stopped, and with the interpreter's lock held for good: neither can help itself."""
    hanging = str(PROJECT / "tests" / "embedded" / "hanging")
    quick = {"SYNC_PRESENCE_SECONDS": "0.5", "SYNC_SILENT_SECONDS": "6"}
    stack = Stack(data_dir, "--demo", PYTHONPATH=hanging, **quick)
    try:
        stack.wait_until_up()
        until(
            lambda: "nothing changed" in stack.said, "the demonstration did not end", within_s=UP_S
        )
        hang(stack, "worker1", "worker", signal.SIGRTMIN + 1)
        hang(stack, "worker1", "worker", signal.SIGSTOP)
        hang(stack, "beat", "beat", signal.SIGRTMIN + 1)
        hang(stack, "web", "web", signal.SIGSTOP)
        for name in ("worker1", "beat"):  # where it hung is told
            assert "sitecustomize.py" in (data_dir / "log" / f"{name}.log").read_text()
        done = subprocess.run(
            [sys.executable, "manage.py", "sync", "sample-sftp-files", "--wait"],
            cwd=PROJECT,
            env=environment(data_dir),
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        assert stack.end() == 0
    finally:
        stack.clear()


def test_what_it_prints_for_agents_connects_them(stack: Stack) -> None:
    """Each line as it is pasted: the client's program is stood in for by one that shows its words."""
    until(lambda: "claude mcp add" in stack.said, "nothing was printed for agents", within_s=UP_S)
    printed = stack.said.splitlines()
    (by_http,) = (line for line in printed if "claude mcp add" in line)
    words = subprocess.run(
        ["/bin/sh", "-ec", 'claude() { printf "%s\\n" "$@"; }\n' + by_http],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    url, header = words[-3], words[-1]
    assert header == f"Authorization: Bearer {stack.env()['SYNC_TOKEN']}"
    greeting = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    told = requests.post(
        url, json=greeting, headers={"Authorization": header.partition(": ")[2]}, timeout=20
    )
    assert told.json()["result"]["serverInfo"]["name"] == "syncproject"

    (line,) = (line for line in printed if "mcpServers" in line)
    program = json.loads(line)["mcpServers"]["syncproject"]
    ran = subprocess.run(
        [program["command"], *program["args"]],
        env={"PATH": os.environ["PATH"], **program["env"]},
        input=json.dumps(greeting) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(ran.stdout)["result"]["serverInfo"]["name"] == "syncproject"

"""The whole stack as its user has it: one command, real processes, a host of one's own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
import requests

from tests.hosts.sshd import Sshd, running_sshd
from tests.rows import digests_below, fill
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
OURS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "SECRETS_KEYS",
    "CRON_SECRET",
    "ALLOWED_NETWORKS",
)


def environment(data_dir: Path) -> dict[str, str]:
    """As a fresh shell has it: nothing of the test run's own servers."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return kept | {"DATA_DIR": str(data_dir), "WEB_PORT": "0", "FLOWER_PORT": "0"}


def manage(data_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )


def stack_env(data_dir: Path) -> dict[str, str]:
    lines = (data_dir / "stack.env").read_text().splitlines()
    pairs = (line.removeprefix("export ").partition("=") for line in lines if "=" in line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def processes_of(data_dir: Path) -> list[str]:
    """Command lines of processes that were started for this folder."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if (
                folder.name.isdigit()
                and str(data_dir).encode() in (folder / "environ").read_bytes()
            ):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    # pytest's folders are closed to others, and under root PostgreSQL runs as nobody.
    folder = Path(tempfile.mkdtemp(prefix="syncproject-e2e-"))
    folder.chmod(0o711)
    yield folder / "var"
    shutil.rmtree(folder)


class Stack:
    """With the demonstration, on the data that one before it has left."""

    def __init__(self, data_dir: Path) -> None:
        self.log = data_dir.with_name("stack.out")
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "stack", "--demo"],
                cwd=ROOT,
                env=environment(data_dir),
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for_demonstration(self) -> None:
        def is_over() -> bool:
            assert self.process.poll() is None, self.said
            return len(states_in(self.said)) == 4

        until(is_over, "the demonstration did not end", within_s=300)

    def end(self) -> int:
        """As Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)


@pytest.fixture(scope="module")
def stack(data_dir: Path) -> Iterator[Stack]:
    running = Stack(data_dir)
    try:
        running.wait_for_demonstration()
        yield running
    finally:
        running.end()


def states_in(shown: str) -> list[tuple[str, str]]:
    return re.findall(r"^(sample-\w+)-files: (\w+)", shown, re.MULTILINE)


def added_in(shown: str) -> list[int]:
    """Files, by each of the demonstration's four syncs."""
    assert states_in(shown) == [("sample-http", "succeeded"), ("sample-sftp", "succeeded")] * 2
    assert set(re.findall(r"dataset version (\d+)", shown)) == {"1"}
    return [int(count) for count in re.findall(r"^  (\d+) added, 0 changed", shown, re.MULTILINE)]


def test_a_demo_shows_two_syncs_and_readings_and_ends(data_dir: Path) -> None:
    shown = manage(data_dir, "stack", "--demo", "--exit")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    first, second, *again = added_in(shown.stdout)
    assert min(first, second) > 0
    assert again == [0, 0]
    assert "received 3000 = sent 3000, 0 doubled" in shown.stdout
    assert ".customers: 500 rows; the largest balance is 999,625" in shown.stdout
    assert ".orders: 24,000 rows; pieces in all: 599,898" in shown.stdout
    assert processes_of(data_dir) == []


def test_a_second_demo_finds_what_the_first_has_brought(stack: Stack) -> None:
    assert added_in(stack.said) == [0, 0, 0, 0]


def test_a_host_of_ones_own_in_a_minute(stack: Stack, data_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    fill(source, {f"in {n}/größe {n}.bin": os.urandom(n * 1000) for n in range(40)} | {"e": b""})
    (tmp_path / "sshd").mkdir()
    with running_sshd(tmp_path / "sshd") as sshd:
        config = write_config(tmp_path, sshd, source)
        applied = manage(data_dir, "apply", str(config))
        assert applied.returncode == 0, applied.stderr
        tested = manage(data_dir, "test_connector", "my-host")
        assert tested.returncode == 0, tested.stdout
        synced = manage(data_dir, "sync", "my-files", "--wait")
        assert synced.returncode == 0, synced.stdout + synced.stderr
    assert "41 added" in synced.stdout
    checked_out = manage(data_dir, "checkout", "my-files", str(tmp_path / "out"))
    assert checked_out.returncode == 0, checked_out.stderr
    assert digests_below(tmp_path / "out") == digests_below(source)


def write_config(folder: Path, sshd: Sshd, source: Path) -> Path:
    (folder / "key").write_text(sshd.private_key)
    options = sshd.target(source).options
    config = folder / "mine.yaml"
    config.write_text(
        f"""\
workspaces:
  - name: demo
    connectors:
      - name: my-host
        kind: sftp
        host: 127.0.0.1
        port: {sshd.port}
        options: {{username: {options.username}, root: "{source}", host_key: "{options.host_key}"}}
        secret: {{private_key: "${{file:key}}"}}
    sync_jobs:
      - name: my-files
        connector: my-host
"""
    )
    return config


def test_what_a_running_stack_says_of_itself(stack: Stack, data_dir: Path) -> None:
    told = stack_env(data_dir)
    assert stat.S_IMODE((data_dir / "stack.env").stat().st_mode) == 0o600
    assert told["SYNC_WORKSPACE"] == "demo"
    for name in ("SYNC_URL", "SYNC_TOKEN", "CRON_SECRET", "FLOWER_URL"):
        assert told[name]
    assert requests.get(f"{told['SYNC_URL']}/health", timeout=10).status_code == 200
    with psycopg.connect(told["DATABASE_URL"]) as connection:
        (applied,) = connection.execute("SELECT count(*) FROM django_migrations").fetchone() or (0,)
    assert applied > 0
    with redis.Redis.from_url(told["REDIS_URL"]) as client:
        assert client.ping()
    assert "also loopback and private" in stack.said


def test_flower_shows_nothing_without_the_log_in_that_is_printed(
    stack: Stack, data_dir: Path
) -> None:
    url = stack_env(data_dir)["FLOWER_URL"]
    password = (data_dir / "keys" / "flower_password").read_text()
    assert password in stack.said
    for page in ("", "workers", "metrics"):
        assert requests.get(f"{url}/{page}", timeout=5).status_code == 401, page
        shown = requests.get(f"{url}/{page}", auth=("admin", password), timeout=5)
        assert shown.status_code == 200, page
    assert "flower" in shown.text


def test_its_own_listeners_are_no_far_ends_although_loopback_is_allowed(
    stack: Stack, data_dir: Path
) -> None:
    env = stack_env(data_dir)
    tree = f"{env['SYNC_URL']}/api/workspaces/{env['SYNC_WORKSPACE']}/connectors"
    signed = {"Authorization": f"Bearer {env['SYNC_TOKEN']}"}
    for name in ("SYNC_URL", "FLOWER_URL", "DATABASE_URL", "REDIS_URL"):
        port = urlsplit(env[name]).port
        body = {"name": f"own-{port}", "kind": "http", "host": "localhost", "port": port}
        made = requests.post(tree, json=body, headers=signed, timeout=20)
        assert made.status_code == 201, made.text
        looked = requests.get(f"{tree}/own-{port}/browse", headers=signed, timeout=20)
        assert (looked.status_code, looked.json()["code"]) == (502, "network_forbidden"), name
        assert "a part of this platform" in looked.json()["detail"]


def test_no_secret_stands_in_a_process_list(stack: Stack, data_dir: Path) -> None:
    told = stack_env(data_dir)
    secrets = [told["SYNC_TOKEN"], told["CRON_SECRET"]]
    secrets += re.findall(r"//[^:/]*:([^@]+)@", told["DATABASE_URL"] + " " + told["REDIS_URL"])
    secrets += [path.read_text().strip() for path in (data_dir / "keys").iterdir()]
    secrets += [(data_dir / name / "password").read_text() for name in ("postgres", "valkey")]
    lines = processes_of(data_dir)
    assert len(lines) >= 6
    assert any("gunicorn" in line for line in lines)
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def test_a_second_stack_is_refused_in_one_line(stack: Stack, data_dir: Path) -> None:
    before = stack_env(data_dir)
    refused = manage(data_dir, "stack")
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines() == [
        f"the stack already runs here (pid {stack.process.pid}, DATA_DIR {data_dir}): stop it first"
    ]
    assert stack_env(data_dir) == before


def test_ctrl_c_stops_every_process(stack: Stack, data_dir: Path) -> None:
    assert stack.end() == 0
    assert processes_of(data_dir) == []
    assert not (data_dir / "stack.env").exists()
    assert "make up" in manage(data_dir, "sync", "my-files").stderr

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

import pytest
import requests

from tests.hosts.sshd import Sshd, running_sshd
from tests.rows import digests_below, fill
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

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
        timeout=300,
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


@pytest.fixture(scope="module")
def stack(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "stack"],
        cwd=ROOT,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(
        lambda: (data_dir / "stack.env").exists() or process.poll() is not None,
        "the stack did not start",
        within_s=120,
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)


def test_a_demo_shows_two_syncs_and_ends(data_dir: Path) -> None:
    for attempt in ("fresh", "again"):
        shown = manage(data_dir, "stack", "--demo", "--exit")
        assert shown.returncode == 0, shown.stdout + shown.stderr
        states = re.findall(r"^(sample-\w+)-files: (\w+)", shown.stdout, re.MULTILINE)
        assert states == [("sample-http", "succeeded"), ("sample-sftp", "succeeded")] * 2
        counts = [int(count) for count in re.findall(r"(\d+) added, 0 changed", shown.stdout)]
        assert counts[2:] == [0, 0]
        assert all(count > 0 for count in counts[:2]) is (attempt == "fresh")
        assert set(re.findall(r"dataset version (\d+)", shown.stdout)) == {"1"}
        assert processes_of(data_dir) == []


def test_a_host_of_ones_own_in_a_minute(
    stack: subprocess.Popen[str], data_dir: Path, tmp_path: Path
) -> None:
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
  - name: default
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


def test_what_a_running_stack_says_of_itself(stack: subprocess.Popen[str], data_dir: Path) -> None:
    told = stack_env(data_dir)
    assert stat.S_IMODE((data_dir / "stack.env").stat().st_mode) == 0o600
    for name in ("SYNC_URL", "SYNC_WORKSPACE", "SYNC_TOKEN", "CRON_SECRET", "FLOWER_URL"):
        assert told[name]
    health = requests.get(f"{told['SYNC_URL']}/health", timeout=10)
    assert health.status_code == 200
    assert requests.get(f"{told['FLOWER_URL']}/", timeout=10).status_code == 401


def test_no_secret_stands_in_a_process_list(stack: subprocess.Popen[str], data_dir: Path) -> None:
    told = stack_env(data_dir)
    secrets = [told["SYNC_TOKEN"], told["CRON_SECRET"]]
    secrets += re.findall(r"//[^:/]*:([^@]+)@", told["DATABASE_URL"] + " " + told["REDIS_URL"])
    secrets += [path.read_text().strip() for path in (data_dir / "keys").iterdir()]
    lines = processes_of(data_dir)
    assert len(lines) >= 6
    assert [line for line in lines if any(secret in line for secret in secrets)] == []


def test_a_second_stack_is_refused_in_one_line(
    stack: subprocess.Popen[str], data_dir: Path
) -> None:
    refused = manage(data_dir, "stack")
    assert refused.returncode == 1
    assert str(stack.pid) in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr


def test_sigterm_stops_every_process(stack: subprocess.Popen[str], data_dir: Path) -> None:
    stack.send_signal(signal.SIGTERM)
    stack.communicate(timeout=90)
    assert stack.returncode == 0
    assert processes_of(data_dir) == []
    assert not (data_dir / "stack.env").exists()
    assert "make up" in manage(data_dir, "sync", "my-files").stderr

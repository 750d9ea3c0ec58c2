"""What docs/cron.md tells operators to copy, copied and run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import connection
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from connectors.models import Connector
from syncjobs.configuration.jobs import follow_auto_sync
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.processes.records import SLOW, slow_job, until_fetching
from tests.proxy import proxying
from tests.rows import fill, fresh, make_connector

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cron.md").read_text()
SECRET = "a $ecret; with 'words'"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def crontab(number: int) -> str:
    """As cron takes a line: five fields, then what the shell gets."""
    (line,) = blocks("crontab")[number].splitlines()
    return line.split(maxsplit=5)[5].replace("\\%", "%")


def environment() -> dict[str, str]:
    of = connection.settings_dict
    url = f"postgresql://{of['USER']}:{of['PASSWORD']}@{of['HOST']}:{of['PORT']}/{of['NAME']}"
    return os.environ | {"DATABASE_URL": url}


def sh(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-ec", script],
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def hook(settings: Settings, request: pytest.FixtureRequest) -> str:
    """Where the hook answers to SECRET."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    settings.CRON_SECRET = SECRET
    server: LiveServer = request.getfixturevalue("live_server")
    return server.url


@pytest.fixture
def connector(sshd: Sshd, source: Path) -> Connector:
    fill(source, {"a.txt": b"one"})
    connector = make_connector(sshd.target(source))
    connector.auto_sync = True
    connector.save()
    follow_auto_sync(connector)
    return connector


def test_system_cron_with_process_due(connector: Connector, tmp_path: Path) -> None:
    line = crontab(0).replace("/srv/syncproject", str(ROOT)).replace(" var/", f" {tmp_path}/")
    line = line.replace(">>var/", f">>{tmp_path}/").replace(".venv/bin/python", sys.executable)
    ran = sh(line)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert SyncRecord.objects.get().state == State.SUCCEEDED
    assert "succeeded" in (tmp_path / "process_due.log").read_text()


def test_system_cron_by_the_hook(connector: Connector, hook: str, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    stack = f"CRON_SECRET={shlex.quote(SECRET)}\nSYNC_URL={hook}\n"
    (tmp_path / "var" / "stack.env").write_text(stack)
    ran = sh(crontab(1).replace("/srv/syncproject", str(tmp_path)))
    assert ran.returncode == 0, ran.stderr
    assert '"queued": 1' in ran.stdout
    assert SyncRecord.objects.get().requested_by == "cron hook"


def test_github_actions(connector: Connector, hook: str) -> None:
    workflow: Any = yaml.safe_load(blocks("yaml")[0])
    (step,) = workflow["jobs"]["sync"]["steps"]
    assert set(step["env"]) == {"SYNC_URL", "CRON_SECRET"}
    ran = sh(step["run"], SYNC_URL=hook, CRON_SECRET=SECRET)
    assert (ran.returncode, SyncRecord.objects.count()) == (0, 1), ran.stderr
    wrong = sh(step["run"], SYNC_URL=hook, CRON_SECRET="wrong")
    assert wrong.returncode != 0
    assert "Unauthorized" in wrong.stdout


def test_a_container_that_loops_drains_when_it_is_stopped(sshd: Sshd, source: Path) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    service = yaml.safe_load(compose.replace("services:\n", f"services:\n{blocks('yaml')[1]}", 1))
    shell, option, script = service["services"]["cron"]["command"]
    script = script.replace("$$", "$").replace("python ", f"{sys.executable} ")
    with proxying(sshd.port, bytes_per_s=SLOW) as proxy:
        record = enqueue(slow_job(sshd, source, proxy), trigger=Trigger.MANUAL)
        loop = subprocess.Popen(
            [shell, option, script],
            env=environment(),
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until_fetching(record)
            loop.send_signal(signal.SIGTERM)
            assert loop.wait(90) == 0
        finally:
            if loop.poll() is None:
                os.killpg(loop.pid, signal.SIGKILL)
                loop.wait()
    assert fresh(record).state == State.QUEUED

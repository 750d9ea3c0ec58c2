"""Each container's command and health check, under the user and the environment that docker-compose.yml gives them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from embedded.child import PROJECT
from embedded.ports import find_free
from tests.embedded.containers import (
    USER,
    Container,
    check_of,
    count_added,
    describe_ssh_jobs,
    environment_of,
    words_of,
    write_secrets,
    write_users,
)
from tests.hosts.sshd import running_sshd
from tests.rows import fill
from tests.waiting import until

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1_800),
]
PARTS = ("web", "worker", "index", "beat", "flower")


@pytest.fixture
def container() -> Iterator[Container]:
    home = Path(tempfile.mkdtemp(prefix="container-"))  # pytest closes its folders to other users
    home.chmod(0o711)
    data = home / "data"
    data.mkdir()
    os.chown(data, USER, USER)
    write_secrets(home / "secrets")
    write_users(home)
    environment = {
        "PATH": f"{PROJECT}/.venv/bin:/usr/bin:/bin",
        "PYTHONPATH": str(PROJECT),  # /app, by the Dockerfile
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **environment_of("worker"),
        "DATA_DIR": str(data),
        "SYNC_CONCURRENCY": "1",
        "SYNC_SILENT_SECONDS": "30",
    }
    yield Container(home, environment)
    shutil.rmtree(home)


@pytest.mark.parametrize("service", PARTS)
def test_item_12_each_container_starts_and_its_health_check_passes(
    container: Container, service: str
) -> None:
    ports = {"8091": find_free(), "5555": find_free()}
    check = check_of(service, ports)
    if service == "web":  # which also looks whether the store is there
        assert container.run(words_of("prepare", {})).returncode == 0
    before = container.run(check)
    assert before.returncode != 0 or before.stdout.startswith("nothing can be told"), before
    log = container.home / "output"
    with log.open("wb") as output:
        running = subprocess.Popen(
            container.command(words_of(service, ports)),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    told: list[str] = []

    def is_healthy() -> bool:
        assert running.poll() is None, log.read_text()[-3000:]
        ran = container.run(check)
        told.append(ran.stdout + ran.stderr)
        silent = service in ("worker", "index", "beat")
        return ran.returncode == 0 and (not silent or ran.stdout.startswith("alive: "))

    try:
        until(is_healthy, f"{service} did not become healthy", within_s=150)
    except AssertionError as exc:
        raise AssertionError(f"{exc}: {told[-1:]} {log.read_text()[-3000:]}") from None
    finally:
        running.terminate()
        running.wait(60)
    assert "No module named" not in log.read_text() + "".join(told)


def test_item_12_a_database_is_prepared_under_that_user(container: Container) -> None:
    ran = container.run(words_of("prepare", {}))
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert (container.home / "data" / "store").is_dir()


def test_item_12_rsync_over_ssh_knows_the_user_of_the_container(container: Container) -> None:
    asked = ["ssh", "-F", "/dev/null", "-G", "files.example.com"]
    unknown = Container(container.home, container.environment, knows_its_user=False).run(asked)
    assert "No user exists for uid 10001" in unknown.stderr
    known = container.run(asked)
    assert known.returncode == 0, known.stderr
    assert "user syncproject" in known.stdout


def test_item_12_records_over_ssh_succeed_as_that_user(
    container: Container, tmp_path: Path
) -> None:
    """By rsync, which starts OpenSSH, and by SFTP."""
    (tmp_path / "host").mkdir()
    fill(tmp_path / "served", {"a.txt": b"one", "b/c.txt": b"two"})
    with running_sshd(tmp_path / "host") as sshd:
        told = container.home / "jobs.yaml"
        told.write_text(describe_ssh_jobs(sshd, tmp_path / "served"))
        within = replace(
            container,
            environment=container.environment
            | {"ALLOWED_NETWORKS": "127.0.0.0/8", "SSH_KEY": sshd.private_key},
        )
        assert within.run(words_of("prepare", {})).returncode == 0
        for words in (("apply", str(told)), ("sync", "by-rsync"), ("sync", "by-sftp")):
            ran = within.run(["python", "manage.py", *words])
            assert ran.returncode == 0, ran.stderr[-3000:]
        ran = within.run(["python", "manage.py", "process_due", "--json"])
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert count_added(json.loads(ran.stdout)["records"]) == {"by-rsync": 2, "by-sftp": 2}


@pytest.mark.parametrize("service", ["worker", "index", "beat"])
def test_item_12_a_health_check_starts_no_django(container: Container, service: str) -> None:
    """Once a minute in each container: it asks the database one question."""
    [_, *rest] = check_of(service, {})
    ran = container.run(["python", "-X", "importtime", *rest])
    imported = set(re.findall(r"\| +([\w.]+)$", ran.stderr, re.MULTILINE))
    assert "psycopg" in imported
    assert not {"django.apps", "django.conf", "django.db", "celery", "syncproject"} & imported

"""Each container's command and health check, under the user and the environment that docker-compose.yml gives them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from embedded.child import PROJECT
from embedded.ports import find_free
from tests.embedded.test_compose import COMPOSE, SERVICES
from tests.servers import servers
from tests.waiting import until

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]
USER = 10001
SECRETS = "/run/secrets"
PARTS = ("worker", "index", "beat", "flower")


@dataclass(frozen=True)
class Container:
    """A place where commands run as in a container: user, names of users, secrets, and nothing of our environment."""

    home: Path
    environment: dict[str, str]
    knows_its_user: bool = True

    def command(self, words: list[str]) -> list[str]:
        named = [f"{name}={value}" for name, value in self.environment.items()]
        within = ["env", "-i", *named, *words]
        lower = [
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all"),
        ]
        binds = [("passwd", "/etc/passwd"), ("group", "/etc/group")] if self.knows_its_user else []
        lines = [
            *_show_python(),
            *(f"mount --bind {self.home / name} {place}" for name, place in binds),
            "mount -t tmpfs tmpfs /run",
            f"mkdir {SECRETS}",
            f"mount --bind {self.home / 'secrets'} {SECRETS}",
            f"cd {PROJECT}",
            f"exec {shlex.join([*lower, *within])}",
        ]
        script = " && ".join(lines)
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(words), capture_output=True, text=True, check=False, timeout=120
        )


def _show_python() -> list[str]:
    """A Python in root's own home is moved to where others may read it, for these processes alone."""
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/root"):
        return []
    return [
        "mount -t tmpfs -o mode=755 tmpfs /mnt",
        "mkdir /mnt/python",
        f"mount --bind {prefix} /mnt/python",
        "mount -t tmpfs -o mode=755 tmpfs /root",
        f"mkdir -p {prefix}",
        f"mount --bind /mnt/python {prefix}",
    ]


@pytest.fixture
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    home = tmp_path_factory.mktemp("container")
    for folder in (home, *home.parents):
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):  # noqa: S108 — where pytest keeps them
            folder.chmod(folder.stat().st_mode | 0o011)
    data = home / "data"
    data.mkdir()
    os.chown(data, USER, USER)
    _write_secrets(home / "secrets")
    _write_users(home)
    environment = {
        "PATH": f"{PROJECT}/.venv/bin:/usr/bin:/bin",
        "PYTHONPATH": str(PROJECT),  # /app, by the Dockerfile
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **{
            name: str(value)
            for name, value in SERVICES["worker"]["environment"].items()
            if value is not None and "${" not in str(value)
        },
        "DATA_DIR": str(data),
        "SYNC_CONCURRENCY": "1",
        "SYNC_SILENT_SECONDS": "15",
    }
    yield Container(home, environment)
    shutil.rmtree(data)


def _write_secrets(folder: Path) -> None:
    folder.mkdir()
    told = connection.settings_dict
    place = f"{told['HOST']}:{told['PORT']}/{told['NAME']}"
    values = {
        "database_url": f"postgresql://{told['USER']}:{told['PASSWORD']}@{place}",
        "redis_url": servers().redis_url,
        "secret_key": "a key of the test",
        "secrets_keys": os.environ["SECRETS_KEYS"],
        "cron_secret": "a word",
        "console_password": "a password of the test",
        "flower_password": "another password",
    }
    for name in COMPOSE["secrets"]:
        (folder / name).write_text(values.get(name, ""))


def _write_users(home: Path) -> None:
    """As the Dockerfile's own line makes them."""
    for name in ("passwd", "group"):
        lines = Path("/etc", name).read_text().splitlines(keepends=True)
        (home / name).write_text("".join(line for line in lines if str(USER) not in line))
    text = (PROJECT / "deploy" / "Dockerfile").read_text().replace("\\\n", " ")
    [line] = re.findall(r"^RUN (echo .*10001.*)$", text, re.MULTILINE)
    for name in ("passwd", "group"):
        line = line.replace(f"/etc/{name}", str(home / name))
    subprocess.run(["sh", "-c", line], check=True)


def words_of(service: str, ports: dict[str, int]) -> list[str]:
    return [_fill(word, ports) for word in SERVICES[service]["command"]]


def _fill(word: str, ports: dict[str, int]) -> str:
    for port, free in ports.items():
        word = word.replace(port, str(free))
    return word.replace("$$", "$").replace("0.0.0.0", "127.0.0.1")  # noqa: S104 — what is replaced


def check_of(service: str, ports: dict[str, int]) -> list[str]:
    return [_fill(word, ports) for word in SERVICES[service]["healthcheck"]["test"][1:]]


@pytest.mark.parametrize("service", PARTS)
def test_item_12_each_container_starts_and_its_health_check_passes(
    container: Container, service: str
) -> None:
    ports = {"8091": find_free(), "5555": find_free()}
    check = check_of(service, ports)
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
        until(is_healthy, f"{service} did not become healthy: {told[-1:]}", within_s=150)
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


@pytest.mark.parametrize("service", ["worker", "index", "beat"])
def test_item_12_a_health_check_starts_no_django(container: Container, service: str) -> None:
    """Once a minute in each container: it asks the database one question."""
    [_, *rest] = check_of(service, {})
    ran = container.run(["python", "-X", "importtime", *rest])
    imported = set(re.findall(r"\| +([\w.]+)$", ran.stderr, re.MULTILINE))
    assert "psycopg" in imported
    assert not {"django.apps", "django.conf", "django.db", "celery", "syncproject"} & imported

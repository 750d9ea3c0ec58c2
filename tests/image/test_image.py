"""The image that deploy/Dockerfile makes: each container of docker-compose.yml runs its own command in it and is
healthy, syncs over SSH, and lets people in through a proxy that speaks TLS. `make image` runs this, as root."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from embedded.ports import find_free
from tests.embedded.containers import (
    SECRETS,
    USER,
    check_of,
    count_added,
    describe_ssh_jobs,
    environment_of,
    words_of,
    write_secrets,
)
from tests.hosts.sshd import running_sshd
from tests.image.podman import IMAGE, Place, Podman, RunningContainer
from tests.rows import fill
from tests.waiting import until
from tests.web.test_tls_proxy import PROXY, proxying

pytestmark = [
    pytest.mark.image,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1_800),
]
PARTS = ("web", "worker", "index", "beat", "flower")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    made = Podman(tmp_path_factory.mktemp("podman"))
    began = time.monotonic()
    base = made.build()
    size = int(made.do("image", "inspect", "--format={{.Size}}", IMAGE)) / 1e6
    say(f"image {IMAGE}: {size:.0f} MB in {time.monotonic() - began:.0f} s; its base is {base}")
    return made


def say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 — what `make image` shows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    os.chown(made, USER, USER)
    return made


def test_item_12_every_container_of_the_image_does_its_work(
    podman: Podman, tmp_path: Path, data: Path
) -> None:
    ports = {"8091": find_free(), "5555": find_free()}
    write_secrets(tmp_path / "secrets")
    shared = tmp_path / "shared"
    fill(tmp_path / "served", {"a.txt": b"one", "b/c.txt": b"two"})
    (tmp_path / "host").mkdir()
    with ExitStack() as stack:
        sshd = stack.enter_context(running_sshd(tmp_path / "host"))
        shared.mkdir()
        (shared / "jobs.yaml").write_text(describe_ssh_jobs(sshd, tmp_path / "served"))
        environment = {
            **environment_of("worker"),
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "ALLOWED_NETWORKS": "127.0.0.0/8",
            "TRUSTED_PROXIES": f"{PROXY}/32",
            "HTTPS_ONLY": "true",
            "SYNC_CONCURRENCY": "2",
            "SSH_KEY": sshd.private_key,
        }
        place = Place(environment, tmp_path / "secrets", data, shared)
        ran = podman.run(words_of("prepare", {}), place)
        assert ran.returncode == 0, ran.stderr[-3000:]
        running = {
            name: stack.enter_context(podman.running(name, words_of(name, ports), place))
            for name in PARTS
        }
        for name, container in running.items():
            wait_until_healthy(name, container, check_of(name, ports))
        sync_by_ssh(running["worker"])
        log_in(tmp_path, ports["8091"])
        for name, container in running.items():
            say(f"{name}: {container.memory.partition(' /')[0]} of memory")


def wait_until_healthy(name: str, container: RunningContainer, check: list[str]) -> None:
    began = time.monotonic()
    told: list[str] = []

    def is_healthy() -> bool:
        assert container.is_running, container.log
        ran = container.execute(*check)
        told.append(ran.stdout + ran.stderr)
        return ran.returncode == 0 and not ran.stdout.startswith("nothing can be told")

    until(is_healthy, f"{name} did not become healthy: {told[-1:]} {container.log}", within_s=300)
    said = told[-1].strip() or "its check ended with 0"
    say(f"{name}: healthy after {time.monotonic() - began:.0f} s ({said})")


def sync_by_ssh(worker: RunningContainer) -> None:
    who = worker.execute("id")
    assert f"uid={USER}(syncproject)" in who.stdout, who
    assert worker.execute("sh", "-c", "echo x >/app/written").returncode != 0
    ran = worker.execute("python", "manage.py", "apply", "/shared/jobs.yaml")
    assert ran.returncode == 0, ran.stderr[-3000:]
    for job in ("by-rsync", "by-sftp"):
        ran = worker.execute("python", "manage.py", "sync", job, "--wait", "--json", within_s=300)
        assert ran.returncode == 0, f"{ran.stdout} {ran.stderr[-3000:]} {worker.log}"
        assert count_added([json.loads(ran.stdout)]) == {job: 2}
        say(f"{job}: succeeded in the worker's container as {who.stdout.split()[0]}, 2 files")


def log_in(home: Path, web: int) -> None:
    """As the user whom `prepare` makes."""
    password = (home / Path(SECRETS).name / "console_password").read_text()
    with proxying(home, web) as site, requests.Session() as session:
        session.max_redirects = 3
        answer = site.log_in(session, "admin", password)
        assert answer.status_code == 200, answer.text[:500]
        assert answer.url == f"{site.url}/admin/"
        assert {cookie.name: cookie.secure for cookie in session.cookies} == {
            "sessionid": True,
            "csrftoken": True,
        }
    say("web: people log in behind nginx that speaks TLS, and their cookies are secure")

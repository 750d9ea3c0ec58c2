"""docker-compose.yml and what lies beside it, as far as it can be known without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from django.conf import settings

from embedded.child import PROJECT
from tasks.queues import BESIDE, CONSUMED, CONSUMED_BESIDE, INDEX_THREADS, QUEUES

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OPEN_URLS = {"EMBEDDING_URL", "CLIENT_API_URL", "FLOWER_URL", "PUBLIC_URL"}  # without a password
PRODUCT = ("prepare", "web", "worker", "index", "beat", "flower")


def words(service: str) -> str:
    return " ".join(SERVICES[service].get("command", []))


def test_every_service_of_the_product_is_there() -> None:
    assert set(SERVICES) == {"postgres", "valkey", *PRODUCT}
    assert SERVICES["beat"]["deploy"]["replicas"] == 2
    assert "container_name" not in SERVICES["worker"]  # would forbid --scale
    assert "ports" not in SERVICES["worker"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"prepare"}))
def test_what_stays_up_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", sorted(set(PRODUCT) - {"prepare"}))
def test_the_product_starts_when_the_database_is_prepared(name: str) -> None:
    conditions = {key: value["condition"] for key, value in SERVICES[name]["depends_on"].items()}
    assert conditions == {
        "prepare": "service_completed_successfully",
        "postgres": "service_healthy",
        "valkey": "service_healthy",
    }
    assert SERVICES["prepare"]["restart"] == "no"
    assert SERVICES[name]["restart"] == "unless-stopped"  # a worker whose thread hangs ends itself


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_secrets_come_as_files(name: str) -> None:
    service = SERVICES[name]
    text = f"{words(name)} {service.get('environment', {})}"
    used = set(re.findall(r"/run/secrets/(\w+)", text + str(service.get("healthcheck", ""))))
    granted = set(service.get("secrets", []))
    assert used <= granted <= set(COMPOSE["secrets"])
    for variable, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|_URL|KEY", variable) and variable not in OPEN_URLS:
            assert variable.endswith("_FILE")
            assert value.startswith("/run/secrets/")


# Of commands that are called by `exec`, of developers, of the one-machine stack; the last line stands elsewhere in the file.
NOT_OF_THE_ENVIRONMENT = {
    *("SYNC_TOKEN", "SYNC_WORKSPACE", "DEBUG", "SYNC_FAILPOINT", "WEB_HOST", "WORKERS"),
    *("WEB_PORT", "FLOWER_PORT", "CONSOLE_PASSWORD", "FLOWER_PASSWORD"),
}


@pytest.mark.parametrize("name", PRODUCT)
def test_every_setting_that_is_documented_reaches_the_containers(name: str) -> None:
    page = (PROJECT / "docs" / "configuration.md").read_text().partition("## The environment")[2]
    cells = (line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    documented = {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}
    given = {variable.removesuffix("_FILE") for variable in SERVICES[name]["environment"]}
    assert given == documented - NOT_OF_THE_ENVIRONMENT


@pytest.mark.parametrize("name", ["web", "flower"])
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", PRODUCT)
def test_the_product_runs_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_processes_are_started_as_the_one_machine_stack_starts_them() -> None:
    programs = (PROJECT / "embedded" / "programs.py").read_text()
    for fact in ("syncproject.wsgi:application", "tasks.beat:SyncScheduler"):
        assert fact in programs
        assert any(fact in words(name) for name in PRODUCT)
    for option in ("--without-gossip", "--without-mingle", "-P threads", " -E "):
        assert option in words("worker")
        assert option in words("index")


def test_the_workers_of_the_fleet_consume_every_queue_and_index_has_a_process_of_its_own() -> None:
    consumed = re.findall(r"-Q (\S+)", words("worker"))
    assert consumed == [CONSUMED]
    assert re.findall(r"-Q (\S+)", words("index")) == [CONSUMED_BESIDE]
    assert f"-c {INDEX_THREADS} " in words("index")
    assert {*CONSUMED.split(","), *BESIDE} == set(QUEUES)
    assert {queue.name for queue in settings.CELERY_TASK_QUEUES} == set(QUEUES)


@pytest.mark.parametrize("name", ["web", "worker", "index", "beat"])
def test_a_watchdog_stands_beside_each_process(name: str) -> None:
    assert "python -m embedded.attend " in words(name)
    assert SERVICES[name]["init"] is True  # who is ended is reaped, and signals reach the watchdog
    if name != "web":
        assert SERVICES[name]["healthcheck"]["test"] == [
            "CMD",
            "python",
            "-m",
            "embedded.alive",
            name,
        ]


def test_web_is_not_held_to_what_workers_do() -> None:
    assert "/health?part=web'" in str(SERVICES["web"]["healthcheck"])
    assert '"/health?part=database"' in (PROJECT / "embedded" / "programs.py").read_text()


def test_made_secrets_are_whole_consistent_and_kept(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets"
    shutil.copy(PROJECT / "deploy" / "make-secrets", script)

    def make() -> dict[str, str]:
        subprocess.run([script], check=True, capture_output=True)
        return {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    made = make()

    assert {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()} == set(made)
    assert make() == made
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    Fernet(made["secrets_keys"])
    assert f":{made['postgres_role']}@postgres:" in made["database_url"]
    assert f":{made['valkey_password']}@valkey:" in made["redis_url"]
    assert f"requirepass {made['valkey_password']}\n" in made["valkey_conf"]
    assert len({made[name] for name in ("secret_key", "cron_secret", "flower_password")}) == 3


def test_made_secrets_suit_a_real_valkey(data_dir: Path) -> None:
    """The configuration as made, but for the folder and the port."""
    import redis

    from embedded import ports, wheels
    from embedded.child import Child, Program, StartStage
    from embedded.readiness import has_logged

    shutil.copy(PROJECT / "deploy" / "make-secrets", data_dir / "make-secrets")
    subprocess.run([data_dir / "make-secrets"], check=True, capture_output=True)
    port = ports.find_free()
    text = (data_dir / "secrets" / "valkey_conf").read_text()
    text = text.replace("dir /data", f"dir {data_dir}").replace("port 6379", f"port {port}")
    conf = data_dir / "valkey.conf"
    conf.write_text(text.replace("bind * -::*", "bind 127.0.0.1"))
    server = Child(
        Program(
            name="valkey",
            argv=[str(wheels.find_valkey()), str(conf)],
            env={},
            stage=StartStage.BROKER,
            is_ready=has_logged("Ready to accept connections"),
            log=data_dir / "valkey.log",
        )
    )
    server.start()
    try:
        server.wait_until_ready()
        password = (data_dir / "secrets" / "valkey_password").read_text()
        with redis.Redis(port=port, password=password, decode_responses=True) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        server.stop()


def test_flower_closes_its_metrics_in_containers_too() -> None:
    assert " --conf=deploy/flowerconfig.py" in words("flower")
    assert (PROJECT / "deploy" / "flowerconfig.py").is_file()
    assert (
        "deploy/flowerconfig.py" not in (PROJECT / "deploy" / "Dockerfile.dockerignore").read_text()
    )

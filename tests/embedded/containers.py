"""What docker-compose.yml gives each container: its words, environment, secrets and user, for places that are as one."""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from embedded.child import PROJECT
from tests.embedded.test_compose import COMPOSE, SERVICES
from tests.hosts.sshd import Sshd
from tests.servers import servers

USER = 10001
SECRETS = "/run/secrets"


def environment_of(service: str) -> dict[str, str]:
    """But for what the shell or a file says."""
    return {
        name: str(value)
        for name, value in SERVICES[service]["environment"].items()
        if value is not None and "${" not in str(value)
    }


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
            self.command(words), capture_output=True, text=True, check=False, timeout=400
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


def write_secrets(folder: Path) -> None:
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


def write_users(home: Path) -> None:
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


def describe_ssh_jobs(sshd: Sshd, folder: Path) -> str:
    """What `apply` takes: two jobs that read a folder, by rsync over SSH and by SFTP. The key stands in SSH_KEY."""
    options = {
        "username": getpass.getuser(),
        "root": str(folder),
        "host_key": sshd.host_keys["ed25519"],
    }
    connectors = [
        {
            "name": kind,
            "kind": kind,
            "host": "127.0.0.1",
            "port": sshd.port,
            "options": options | more,
            "secret": {"private_key": "${env:SSH_KEY}"},
        }
        for kind, more in (("rsync", {"over_ssh": True}), ("sftp", {}))
    ]
    jobs = [{"name": f"by-{one['name']}", "connector": one["name"]} for one in connectors]
    workspace = {"name": "default", "connectors": connectors, "sync_jobs": jobs}
    return json.dumps({"workspaces": [workspace]})  # which is YAML as well


def count_added(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Of records as a command prints them: by job, how many files were added. Each has succeeded."""
    assert {one["state"] for one in records} == {"succeeded"}, records
    return {one["job"]: one["files_added"] for one in records}

"""Builds the product's image by deploy/Dockerfile and runs containers of it, by podman: as root, with Debian's runc.

The base image is what the registry has under its name; where no registry answers, one that debootstrap makes of Debian's
own Python, under the same name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.child import PROJECT
from tests.embedded.containers import SECRETS, USER

BASE = "docker.io/library/python:3.11-slim-bookworm"
IMAGE = "localhost/syncproject:local"
_STAND_IN = """FROM scratch
ADD base.tar /
RUN rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED && ln -sf python3 /usr/bin/python && ln -sf pip3 /usr/bin/pip
"""
_INCLUDED = "ca-certificates,python3,python3-pip,python3-venv,tzdata"
# Of every container, by docker-compose.yml.
_AS_COMPOSED = (
    f"--user={USER}:{USER}",
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--init",
)


class Podman:
    """`home` is for its configuration and what it logs."""

    def __init__(self, home: Path) -> None:
        self._home = home
        settings = home / "containers.conf"
        # Debian's crun fails where both kinds of cgroups are mounted; and a limit above this process's own is refused.
        settings.write_text(
            '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
            '[engine]\nruntime = "runc"\nhealthcheck_events = false\n'
        )
        self._environment = os.environ | {
            "CONTAINERS_CONF": str(settings),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }

    def ask(self, *words: str, within_s: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["podman", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
        )

    def do(self, *words: str, within_s: float = 120) -> str:
        """What it printed; where it failed, the test does."""
        ran = self.ask(*words, within_s=within_s)
        assert ran.returncode == 0, f"podman {' '.join(words)}: {ran.stdout}{ran.stderr[-4000:]}"
        return ran.stdout.strip()

    def has(self, image: str) -> bool:
        return self.ask("image", "exists", image).returncode == 0

    def build(self) -> str:
        """Builds the image of what git knows here; returns what its base is."""
        base = self._prepare_base()
        context = self._home / "context"
        context.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (PROJECT / name).is_file():
                (context / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, context / name)
        dockerfile = str(context / "deploy" / "Dockerfile")
        words = ("--network=host", "--pull=never", "--file", dockerfile, "--tag", IMAGE)
        self.do("build", *words, str(context), within_s=1_800)
        return base

    def _prepare_base(self) -> str:
        if self.has(BASE):
            return "what was there"
        if self.ask("pull", "--quiet", BASE, within_s=600).returncode == 0:
            return "the registry's"
        made = self._home / "base"
        made.mkdir()
        include = f"--include={_INCLUDED}"
        words = ["debootstrap", "--variant=minbase", include, "bookworm", str(made / "root")]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=1_800)
        # Who builds behind a proxy of their own trusts what this machine trusts.
        trusted = Path("/etc/ssl/certs/ca-certificates.crt")
        (made / "root" / trusted.relative_to("/")).write_bytes(trusted.read_bytes())
        with tarfile.open(made / "base.tar", "w") as packed:
            packed.add(made / "root", ".")
        (made / "Dockerfile").write_text(_STAND_IN)
        self.do("build", "--network=host", "--tag", BASE, str(made), within_s=600)
        return "made by debootstrap"

    @contextmanager
    def running(self, name: str, words: Sequence[str], place: Place) -> Iterator[RunningContainer]:
        """A container of the image that runs the words, until the block ends."""
        container = f"syncproject-{name}-{os.getpid()}"
        self.do("run", "--detach", f"--name={container}", *place.words, IMAGE, *words)
        running = RunningContainer(self, container)
        try:
            yield running
        finally:
            self.ask("rm", "--force", "--time=10", container)

    def run(self, words: Sequence[str], place: Place) -> subprocess.CompletedProcess[str]:
        return self.ask("run", "--rm", *place.words, IMAGE, *words, within_s=300)


@dataclass(frozen=True)
class Place:
    """What every container gets. The network is this machine's, so that the tests' own servers are reached."""

    environment: Mapping[str, str]
    secrets: Path
    data: Path
    shared: Path  # at /shared, to be read

    @property
    def words(self) -> list[str]:
        mounts = (f"{self.secrets}:{SECRETS}:ro", f"{self.data}:/data", f"{self.shared}:/shared:ro")
        return [
            *_AS_COMPOSED,
            "--network=host",
            *(f"--volume={mount}" for mount in mounts),
            *(f"--env={name}={value}" for name, value in self.environment.items()),
        ]


@dataclass(frozen=True)
class RunningContainer:
    podman: Podman
    name: str

    def execute(self, *words: str, within_s: float = 120) -> subprocess.CompletedProcess[str]:
        return self.podman.ask("exec", self.name, *words, within_s=within_s)

    @property
    def is_running(self) -> bool:
        return self.podman.do("inspect", "--format={{.State.Running}}", self.name) == "true"

    @property
    def log(self) -> str:
        ran = self.podman.ask("logs", "--tail=100", self.name)
        return ran.stdout + ran.stderr

    @property
    def memory(self) -> str:
        return self.podman.do("stats", "--no-stream", "--format={{.MemUsage}}", self.name)

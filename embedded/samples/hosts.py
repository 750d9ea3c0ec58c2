"""Both sample hosts as programs, and what `manage.py demonstrate` must know of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import ports, readiness
from embedded.child import Program, StartStage
from embedded.samples import sftp_keys, tree


@dataclass(frozen=True, slots=True)
class SampleHosts:
    folder: Path
    sftp_port: int
    http_port: int

    def programs(self, logs: Path, mark: Mapping[str, str]) -> list[Program]:
        # Strangers to the product: they get none of its environment.
        env = {"PATH": os.environ.get("PATH", os.defpath), **mark}
        answers = {
            "sftp": (self.sftp_port, readiness.greets(self.sftp_port, b"SSH-2.0-")),
            "http": (self.http_port, readiness.answers("127.0.0.1", self.http_port, "/")),
        }
        return [
            Program(
                name=f"sample-{kind}",
                argv=(
                    *(sys.executable, "-m", f"embedded.samples.{kind}_host"),
                    *(str(self.folder), str(port)),
                ),
                env=env,
                stage=StartStage.SAMPLES,
                is_ready=is_ready,
                log=logs / f"sample-{kind}.log",
            )
            for kind, (port, is_ready) in answers.items()
        ]

    def environment(self) -> dict[str, str]:
        """Returns the variables for `demonstrate`. The hosts must be ready, so that their keys exist."""
        return {
            "DEMO_SFTP_PORT": str(self.sftp_port),
            "DEMO_SFTP_USER": sftp_keys.USER,
            "DEMO_SFTP_HOST_KEY": sftp_keys.read_fingerprint(self.folder),
            "DEMO_SFTP_KEY_FILE": str(sftp_keys.client_key(self.folder)),
            "DEMO_HTTP_PORT": str(self.http_port),
        }


def prepare_sample_hosts(data_dir: Path) -> SampleHosts:
    """Makes the sample trees where they are missing."""
    folder = data_dir / "samples"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("sftp", "http"):
        tree.make(folder / name, seed=name)
    return SampleHosts(
        folder, ports.keep_port(folder / "sftp_port"), ports.keep_port(folder / "http_port")
    )

"""The sample hosts, the sample API and the sample client system as programs, and what `manage.py demonstrate` must know of them."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import ports, readiness
from embedded.child import Program, StartStage
from embedded.keys import keep_secret
from embedded.samples import sftp_keys, tree


@dataclass(frozen=True, slots=True)
class SampleHosts:
    folder: Path
    sftp_port: int
    http_port: int
    client_port: int
    shop_port: int

    def programs(self, logs: Path, mark: Mapping[str, str]) -> list[Program]:
        # Strangers to the product: they get none of its environment.
        env = {"PATH": os.environ.get("PATH", os.defpath), **mark}
        answers = {
            "sftp": (self.sftp_port, readiness.greets(self.sftp_port, b"SSH-2.0-")),
            "http": (self.http_port, readiness.answers("127.0.0.1", self.http_port, "/")),
        }
        programs = [
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
        return [*programs, self._client_system(logs, env), self._shop_api(logs, env)]

    def _shop_api(self, logs: Path, env: Mapping[str, str]) -> Program:
        key_file = _shop_key_file(self.folder)
        keep_secret(key_file, lambda: secrets.token_urlsafe(24))
        return Program(
            name="sample-shop",
            argv=(
                *(sys.executable, "-m", "embedded.samples.shop_api"),
                *(str(self.shop_port), str(key_file)),
            ),
            env=env,
            stage=StartStage.SAMPLES,
            is_ready=readiness.answers("127.0.0.1", self.shop_port, "/health"),
            log=logs / "sample-shop.log",
        )

    def _client_system(self, logs: Path, env: Mapping[str, str]) -> Program:
        key_file = _client_key_file(self.folder)
        keep_secret(key_file, lambda: secrets.token_urlsafe(24))
        return Program(
            name="sample-client",
            argv=(
                *(sys.executable, "-m", "embedded.samples.client_system"),
                *("--port", str(self.client_port), "--log", str(self.folder / "taken.jsonl")),
                *("--key-file", str(key_file)),
            ),
            env=env,
            stage=StartStage.SAMPLES,
            is_ready=readiness.answers("127.0.0.1", self.client_port, "/health"),
            log=logs / "sample-client.log",
        )

    def environment(self) -> dict[str, str]:
        """Returns the variables for `demonstrate`. The hosts must be ready, so that their keys exist."""
        return {
            "DEMO_SFTP_PORT": str(self.sftp_port),
            "DEMO_SFTP_USER": sftp_keys.USER,
            "DEMO_SFTP_HOST_KEY": sftp_keys.read_fingerprint(self.folder),
            "DEMO_SFTP_KEY_FILE": str(sftp_keys.client_key(self.folder)),
            "DEMO_HTTP_PORT": str(self.http_port),
            "DEMO_CLIENT_PORT": str(self.client_port),
            "DEMO_CLIENT_KEY_FILE": str(_client_key_file(self.folder)),
            "DEMO_SHOP_PORT": str(self.shop_port),
            "DEMO_SHOP_KEY_FILE": str(_shop_key_file(self.folder)),
        }


def _client_key_file(folder: Path) -> Path:
    return folder / "client_key"


def _shop_key_file(folder: Path) -> Path:
    return folder / "shop_key"


def prepare_sample_hosts(data_dir: Path) -> SampleHosts:
    """Makes the sample trees where they are missing."""
    folder = data_dir / "samples"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("sftp", "http"):
        tree.make(folder / name, seed=name)
    return SampleHosts(
        folder,
        ports.keep_port(folder / "sftp_port"),
        ports.keep_port(folder / "http_port"),
        ports.keep_port(folder / "client_port"),
        ports.keep_port(folder / "shop_port"),
    )

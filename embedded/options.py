"""What the operator asked for: the launcher's share of the environment, read once and typed."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.child import PROJECT
from embedded.errors import WrongVariable
from embedded.variables import Variables

PRIVATE_NETWORKS = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"


@dataclass(frozen=True, slots=True)
class Options:
    data_dir: Path
    web_host: str
    web_port: int  # 0: a free one
    flower_port: int
    workers: int
    concurrency: int  # records at once in one worker process
    silent_s: float  # a process that tells nothing of itself for so long is replaced
    allowed_networks: str | None
    database_url: str | None  # None: our own PostgreSQL
    redis_url: str | None  # None: our own Valkey


def given_environment() -> dict[str, str]:
    """The environment this process was started with.

    Not `os.environ`: the settings may have filled that from the stack.env of a killed stack already,
    whose servers are gone.
    """
    if sys.platform != "linux":
        return dict(os.environ)
    pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    split = (os.fsdecode(pair).partition("=") for pair in pairs if b"=" in pair)
    return {name: value for name, _, value in split}


def read_options(environment: Mapping[str, str]) -> Options:
    """Raises WrongVariable."""
    given = Variables(environment)
    web_host = given.text("WEB_HOST", "127.0.0.1")
    try:
        ipaddress.ip_address(web_host)
    except ValueError:
        raise WrongVariable(f"WEB_HOST must be an IP address, not {web_host!r}") from None
    return Options(
        data_dir=Path(given.text("DATA_DIR", str(PROJECT / "var"))).expanduser().resolve(),
        web_host=web_host,
        web_port=given.whole_within("WEB_PORT", 8091, 0, 65535),
        flower_port=given.whole_within("FLOWER_PORT", 5555, 0, 65535),
        workers=given.whole_within("WORKERS", 2, 1, 64),
        concurrency=given.whole_within("SYNC_CONCURRENCY", 8, 1, 256),
        silent_s=read_silent_s(given),
        allowed_networks=given.find("ALLOWED_NETWORKS"),
        database_url=given.find("DATABASE_URL"),
        redis_url=given.find("REDIS_URL"),
    )


def read_silent_s(given: Variables) -> float:
    """Raises WrongVariable."""
    seconds = given.number("SYNC_SILENT_SECONDS", 60)
    if not 1 <= seconds < 1e6:
        raise WrongVariable(f"SYNC_SILENT_SECONDS must be a number from 1 on, not {seconds:g}")
    return seconds

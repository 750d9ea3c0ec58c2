"""What the operator asked for: the launcher's share of the environment, read once and typed."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.child import PROJECT
from embedded.errors import StackError

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


def find_value(environment: Mapping[str, str], name: str) -> str | None:
    """NAME, or the content of the file that NAME_FILE names; None when neither is set."""
    path = environment.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StackError(f"cannot read {name}_FILE {path}: {error.strerror}") from error
    return environment.get(name) or None


def read_options(environment: Mapping[str, str]) -> Options:
    def number(name: str, default: int, least: int, most: int) -> int:
        text = find_value(environment, name) or str(default)
        if not text.isdecimal() or not least <= int(text) <= most:
            raise StackError(f"{name} must be a number from {least} to {most}, not {text!r}")
        return int(text)

    data_dir = Path(find_value(environment, "DATA_DIR") or PROJECT / "var").expanduser().resolve()
    web_host = find_value(environment, "WEB_HOST") or "127.0.0.1"
    try:
        ipaddress.ip_address(web_host)
    except ValueError:
        raise StackError(f"WEB_HOST must be an IP address, not {web_host!r}") from None
    return Options(
        data_dir=data_dir,
        web_host=web_host,
        web_port=number("WEB_PORT", 8091, 0, 65535),
        flower_port=number("FLOWER_PORT", 5555, 0, 65535),
        workers=number("WORKERS", 2, 1, 64),
        concurrency=number("SYNC_CONCURRENCY", 8, 1, 256),
        silent_s=read_silent_s(environment),
        allowed_networks=find_value(environment, "ALLOWED_NETWORKS"),
        database_url=find_value(environment, "DATABASE_URL"),
        redis_url=find_value(environment, "REDIS_URL"),
    )


def read_silent_s(environment: Mapping[str, str]) -> float:
    text = find_value(environment, "SYNC_SILENT_SECONDS") or "60"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds < 1e6:
        raise StackError(f"SYNC_SILENT_SECONDS must be a number from 1 on, not {text!r}")
    return seconds

"""The environment, read once and typed. Nothing else reads `os.environ` for the product's settings.

Every NAME may be given as NAME_FILE, a path whose content is the value. A running one-machine stack
leaves `stack.env` in its data folder; commands started beside it pick it up from there, and what the
environment says explicitly wins.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

PLACEHOLDER_DATABASE = "postgresql://nobody@127.0.0.1:1/no-stack-is-running"
PLACEHOLDER_REDIS = "redis://127.0.0.1:1/0"
_PORTS = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "valkey": 6379}


@dataclass(frozen=True, slots=True)
class Environment:
    data_dir: Path
    database_url: str
    redis_url: str
    secret_key: str
    secrets_keys: tuple[str, ...]  # Fernet keys, newest first
    stack_secrets_keys: tuple[
        str, ...
    ]  # of the stack that runs in `data_dir`, empty where none does
    cron_secret: str
    debug: bool
    allowed_hosts: tuple[str, ...]
    allowed_networks: tuple[str, ...]  # CIDR
    own_listeners: tuple[tuple[str, int], ...]  # host and port of the platform's parts: no far ends
    metrics_networks: tuple[str, ...]  # CIDR: who sees /metrics of the whole installation
    trusted_proxies: tuple[str, ...]  # CIDR: who may say for whom it asks
    csrf_trusted_origins: tuple[str, ...]
    https_only: bool
    sync_concurrency: int  # records at once in one worker process
    batch_size: int  # records at once on the whole installation; 0: as many as workers have slots
    min_free_bytes: int  # on the store's disk, or new work waits; see `store.room`
    max_listed: int  # rows of one listing; 0: no limit
    max_per_host: int  # records at once on one host and port; 0: no limit
    sync_frequency: str  # hourly, daily or weekly: when a new job runs that says nothing of it
    sync_time: str  # HH:MM, in UTC
    supported_extensions: tuple[str, ...]  # empty: every file
    max_file_size_mb: int | None
    max_retries: int  # of a record, after its first try, for new jobs
    base_timeout_s: int
    per_file_timeout_s: float
    min_timeout_s: int
    max_timeout_s: int
    heartbeat_interval_s: float
    lease_s: float
    cleanup_interval_s: float
    stall_s: float  # work that stands still for so long is stuck
    publish_stall_s: float  # the same while a version is published and the source cleared
    hung_s: float  # a thread that has lost its record and does not end: its process is replaced
    presence_s: float  # how often a process tells that it is there
    silent_s: float  # a process that has told nothing for so long is replaced
    api_requests_per_minute: int  # of one token; 0: no limit
    sse_max_streams: int  # open at once in one web process
    sse_max_streams_per_workspace: int  # of these, those of one workspace
    sse_max_streams_per_token: int  # of these, those of one token or person
    sse_max_s: float  # then a client opens the next
    invited_may_sign_up: bool  # whether an invitation's link makes an account for who has none
    workspace: str | None  # the one that commands work in, where none is named
    flower_url: str
    console_password: str  # of the first console user, where `prepare` makes one

    @property
    def default_schedule(self) -> dict[str, str]:
        return {"frequency": self.sync_frequency, "time": self.sync_time}

    @property
    def has_database(self) -> bool:
        return self.database_url != PLACEHOLDER_DATABASE


def is_launcher() -> bool:
    """`manage.py stack` makes the keys and the stack.env that everything else reads."""
    return sys.argv[1:2] == ["stack"]


def read_stack_env(data_dir: Path) -> dict[str, str]:
    """What a running stack says of itself; nothing where none is there."""
    try:
        text = (data_dir / "stack.env").read_text(encoding="utf-8")
    except OSError:
        return {}
    said = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            said[name.removeprefix("export ").strip()] = "".join(shlex.split(value))
    return said


def take_over(said: Mapping[str, str]) -> None:
    """Without overriding the environment, in whichever of its two forms that names a value."""
    for name, value in said.items():
        plain = name.removesuffix("_FILE")
        if plain not in os.environ and f"{plain}_FILE" not in os.environ:
            os.environ[name] = value


def _find_stack_keys(said: Mapping[str, str]) -> tuple[str, ...]:
    text = said.get("SECRETS_KEYS", "")
    if path := said.get("SECRETS_KEYS_FILE"):
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ()
    return _split(text)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _number(
    env: environ.FileAwareEnv, name: str, kind: type[int] | type[float], default: float | None
) -> float | None:
    """Ends the program with one line where the text is no such number."""
    text = env.str(name, "").strip()
    try:
        return kind(text) if text else default
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise SystemExit(f"{name} must be {wanted}, and is {text!r}") from None


def _own_listeners(env: environ.FileAwareEnv, *urls: str) -> tuple[tuple[str, int], ...]:
    """Those that were named, web and Flower on this machine where none is, and both servers."""
    usual = f"127.0.0.1:{env.str('WEB_PORT', '8091')},127.0.0.1:{env.str('FLOWER_PORT', '5555')}"
    found = []
    for text in env.str("OWN_LISTENERS", usual).split(","):
        host, _, port = text.strip().rpartition(":")
        if host and port.isdecimal():
            found.append((host.strip("[]"), int(port)))
        elif text.strip():
            raise SystemExit(f"OWN_LISTENERS must be like web:8091,flower:5555, and has {text!r}")
    for url in urls:
        parts = urlsplit(url)
        is_socket = not parts.hostname or "%" in parts.hostname  # in the file system
        if url not in (PLACEHOLDER_DATABASE, PLACEHOLDER_REDIS) and not is_socket:
            found.append((str(parts.hostname), parts.port or _PORTS.get(parts.scheme, 0)))
    return tuple(dict.fromkeys(found))


def read() -> Environment:
    env = environ.FileAwareEnv()
    data_dir = Path(env.str("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
    said = {} if is_launcher() else read_stack_env(data_dir)
    take_over(said)
    if os.environ.get("SECRETS_KEYS") and os.environ.get("SECRETS_KEYS_FILE"):
        raise SystemExit("SECRETS_KEYS and SECRETS_KEYS_FILE are both set: unset one of them")

    def words(name: str, default: str = "") -> tuple[str, ...]:
        return _split(env.str(name, default))

    def whole(name: str, default: int | None) -> Any:
        return _number(env, name, int, default)

    def number(name: str, default: float) -> Any:
        return _number(env, name, float, default)

    database_url = env.str("DATABASE_URL", PLACEHOLDER_DATABASE)
    redis_url = env.str("REDIS_URL", PLACEHOLDER_REDIS)
    return Environment(
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        secret_key=env.str("SECRET_KEY", "").strip(),
        secrets_keys=words("SECRETS_KEYS"),
        stack_secrets_keys=_find_stack_keys(said),
        cron_secret=env.str("CRON_SECRET", "").strip(),
        debug=env.bool("DEBUG", False),
        allowed_hosts=words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]"),
        allowed_networks=words("ALLOWED_NETWORKS"),
        own_listeners=_own_listeners(env, database_url, redis_url),
        metrics_networks=words("METRICS_NETWORKS", "127.0.0.0/8,::1/128"),
        trusted_proxies=words("TRUSTED_PROXIES"),
        csrf_trusted_origins=words("CSRF_TRUSTED_ORIGINS"),
        https_only=env.bool("HTTPS_ONLY", False),
        sync_concurrency=whole("SYNC_CONCURRENCY", 8),
        batch_size=whole("BATCH_SIZE", 5),
        max_listed=whole("SYNC_MAX_LISTED_FILES", 10_000_000),
        max_per_host=whole("SYNC_MAX_PER_HOST", 4),
        min_free_bytes=whole("SYNC_MIN_FREE_BYTES", 1 << 30),
        sync_frequency=env.str("SYNC_FREQUENCY", "daily").strip().lower(),
        sync_time=env.str("SYNC_TIME", "02:00").strip(),
        supported_extensions=words("SUPPORTED_EXTENSIONS"),
        max_file_size_mb=whole("MAX_FILE_SIZE_MB", None),
        max_retries=whole("MAX_RETRIES", 2),
        base_timeout_s=whole("SYNC_BASE_TIMEOUT_SECONDS", 300),
        per_file_timeout_s=number("SYNC_PER_FILE_TIMEOUT_SECONDS", 10),
        min_timeout_s=whole("SYNC_MIN_TIMEOUT_SECONDS", 300),
        max_timeout_s=whole("SYNC_MAX_TIMEOUT_SECONDS", 7200),
        heartbeat_interval_s=number("SYNC_HEARTBEAT_INTERVAL_SECONDS", 5),
        lease_s=number("SYNC_LEASE_SECONDS", 20),
        cleanup_interval_s=number("SYNC_CLEANUP_INTERVAL_SECONDS", 5),
        stall_s=number("SYNC_STALL_SECONDS", 600),
        publish_stall_s=number("SYNC_PUBLISH_STALL_SECONDS", 1200),
        hung_s=number("SYNC_HUNG_SECONDS", 60),
        presence_s=number("SYNC_PRESENCE_SECONDS", 5),
        silent_s=number("SYNC_SILENT_SECONDS", 60),
        api_requests_per_minute=whole("API_REQUESTS_PER_MINUTE", 30_000),
        sse_max_streams=env.int("SSE_MAX_STREAMS", 8),
        sse_max_streams_per_workspace=env.int("SSE_MAX_STREAMS_PER_WORKSPACE", 6),
        sse_max_streams_per_token=env.int("SSE_MAX_STREAMS_PER_TOKEN", 4),
        sse_max_s=env.float("SSE_MAX_SECONDS", 600),
        invited_may_sign_up=env.bool("INVITED_MAY_SIGN_UP", False),
        workspace=env.str("SYNC_WORKSPACE", "") or None,
        flower_url=env.str("FLOWER_URL", ""),
        console_password=env.str("CONSOLE_PASSWORD", "").strip(),
    )

"""The environment, read once and typed. Nothing else reads `os.environ` for the product's settings.

Every NAME may be given as NAME_FILE, a path whose content is the value. A running one-machine stack
leaves `stack.env` in its data folder; commands started beside it pick it up from there, and what the
environment says explicitly wins.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

PLACEHOLDER_DATABASE = "postgresql://nobody@127.0.0.1:1/no-stack-is-running"
PLACEHOLDER_REDIS = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True)
class Environment:
    data_dir: Path
    database_url: str
    redis_url: str
    secret_key: str
    secrets_keys: tuple[str, ...]  # Fernet keys, newest first
    cron_secret: str
    debug: bool
    allowed_hosts: tuple[str, ...]
    allowed_networks: tuple[str, ...]  # CIDR
    metrics_networks: tuple[str, ...]  # CIDR: who sees /metrics of the whole installation
    csrf_trusted_origins: tuple[str, ...]
    https_only: bool
    sync_concurrency: int  # records at once in one worker process
    batch_size: int  # records at once on the whole installation; 0: as many as workers have slots
    min_free_bytes: int  # on the store's disk, or new work waits; see `datasets.room`
    max_per_host: int  # records at once on one host and port; 0: no limit
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
    workspace: str | None  # the one that commands work in, where none is named
    flower_url: str
    console_password: str  # of the first console user, where `prepare` makes one

    @property
    def has_database(self) -> bool:
        return self.database_url != PLACEHOLDER_DATABASE


def is_launcher() -> bool:
    """`manage.py stack` makes the keys and the stack.env that everything else reads."""
    return sys.argv[1:2] == ["stack"]


def load_stack_env(data_dir: Path) -> None:
    """Takes over what a running stack says of itself, without overriding the environment."""
    try:
        text = (data_dir / "stack.env").read_text(encoding="utf-8")
    except OSError:
        return
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#") and f"{name}_FILE" not in os.environ:
            os.environ.setdefault(name.removeprefix("export ").strip(), "".join(shlex.split(value)))


def read() -> Environment:
    env = environ.FileAwareEnv()
    data_dir = Path(env.str("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
    if not is_launcher():
        load_stack_env(data_dir)

    def words(name: str, default: str = "") -> tuple[str, ...]:
        return tuple(part.strip() for part in env.str(name, default).split(",") if part.strip())

    max_file_size_mb = env.str("MAX_FILE_SIZE_MB", "")
    return Environment(
        data_dir=data_dir,
        database_url=env.str("DATABASE_URL", PLACEHOLDER_DATABASE),
        redis_url=env.str("REDIS_URL", PLACEHOLDER_REDIS),
        secret_key=env.str("SECRET_KEY", "").strip(),
        secrets_keys=words("SECRETS_KEYS"),
        cron_secret=env.str("CRON_SECRET", "").strip(),
        debug=env.bool("DEBUG", False),
        allowed_hosts=words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]"),
        allowed_networks=words("ALLOWED_NETWORKS"),
        metrics_networks=words("METRICS_NETWORKS", "127.0.0.0/8,::1/128"),
        csrf_trusted_origins=words("CSRF_TRUSTED_ORIGINS"),
        https_only=env.bool("HTTPS_ONLY", False),
        sync_concurrency=env.int("SYNC_CONCURRENCY", 8),
        batch_size=env.int("BATCH_SIZE", 5),
        max_per_host=env.int("SYNC_MAX_PER_HOST", 4),
        min_free_bytes=env.int("SYNC_MIN_FREE_BYTES", 1 << 30),
        supported_extensions=words("SUPPORTED_EXTENSIONS"),
        max_file_size_mb=int(max_file_size_mb) if max_file_size_mb else None,
        max_retries=env.int("MAX_RETRIES", 2),
        base_timeout_s=env.int("SYNC_BASE_TIMEOUT_SECONDS", 300),
        per_file_timeout_s=env.float("SYNC_PER_FILE_TIMEOUT_SECONDS", 10),
        min_timeout_s=env.int("SYNC_MIN_TIMEOUT_SECONDS", 300),
        max_timeout_s=env.int("SYNC_MAX_TIMEOUT_SECONDS", 7200),
        heartbeat_interval_s=env.float("SYNC_HEARTBEAT_INTERVAL_SECONDS", 5),
        lease_s=env.float("SYNC_LEASE_SECONDS", 20),
        cleanup_interval_s=env.float("SYNC_CLEANUP_INTERVAL_SECONDS", 5),
        stall_s=env.float("SYNC_STALL_SECONDS", 600),
        publish_stall_s=env.float("SYNC_PUBLISH_STALL_SECONDS", 1200),
        hung_s=env.float("SYNC_HUNG_SECONDS", 60),
        workspace=env.str("SYNC_WORKSPACE", "") or None,
        flower_url=env.str("FLOWER_URL", ""),
        console_password=env.str("CONSOLE_PASSWORD", "").strip(),
    )

"""The environment, read once and typed. Nothing else reads `os.environ` for the product's settings.

Every NAME may be given as NAME_FILE, a path whose content is the value. A running one-machine stack
leaves `stack.env` in its data folder; commands started beside it pick it up from there, and what the
environment says explicitly wins.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from embedded.errors import WrongVariable
from embedded.variables import Variables, split_words
from farends.web.url import read_base_url
from search.core.lexemes import DEFAULT_LANGUAGES, KNOWN_LANGUAGES, SIMPLE
from syncproject.bounds import check_bounds, default_lease_s

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
    failpoint: str  # where a developer has the worker killed; see `syncjobs.works.rows.failpoints`
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
    connectivity_check_s: float
    client_api_url: str  # of the first client system; empty: none
    client_api_key: str
    api_timeout_s: float
    sync_interval_minutes: float
    enable_auto_sync: bool
    outbox_batch_size: int
    outbox_max_retries: int
    cleanup_interval_s: float
    stall_s: float  # work that stands still for so long is stuck
    publish_stall_s: float  # the same while a version is published and the source cleared
    hung_s: float  # a thread that has lost its record and does not end: its process is replaced
    presence_s: float  # how often a process tells that it is there
    silent_s: float  # a process that has told nothing for so long is replaced
    api_requests_per_minute: int  # of one token; 0: no limit
    tree_root: Path | None  # below it jobs may keep current trees; None: nowhere
    mcp_starts_per_hour: int  # syncs that one token may start by tools; 0: none
    index_budget_s: (
        float  # of a record, for the texts that it has published; the queue does the rest
    )
    index_keep_s: float  # the text of content that went, for a rollback
    sse_max_streams: int  # open at once in one web process
    sse_max_streams_per_workspace: int  # of these, those of one workspace
    sse_max_streams_per_token: int  # of these, those of one token or person
    sse_max_s: float  # then a client opens the next
    invited_may_sign_up: bool  # whether an invitation's link makes an account for who has none
    embedding_url: (
        str  # base of the service for workspaces that have set none; empty: the built-in model
    )
    embedding_model: str
    embedding_key: str = field(repr=False)
    search_languages: tuple[str, ...]  # text search configurations, beside `simple`
    workspace: str | None  # the one that commands work in, where none is named
    sync_token: str  # of `manage.py mcp`: whose calls come on its standard input
    flower_url: str
    public_url: str  # at which people reach the console, without a slash at its end
    heartbeat_url: str = field(
        repr=False
    )  # of an outside watcher, which beat tells that it lives; empty: none
    workers_expected: int  # on this machine; 0: not known
    web_host: str  # where its web server listens
    web_port: int
    flower_port: int
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
    return split_words(text)


def _read_tree_root(env: Variables) -> Path | None:
    text = env.text("TREE_ROOT", "")
    if text and not text.startswith("/"):
        raise WrongVariable(f"TREE_ROOT is {text!r}: give a folder's whole path, from / on")
    return Path(text) if text else None


def _web_port(env: Variables) -> int:
    return env.whole_within("WEB_PORT", 8091, 0, 65535)


def _flower_port(env: Variables) -> int:
    return env.whole_within("FLOWER_PORT", 5555, 0, 65535)


def _own_listeners(env: Variables, *urls: str) -> tuple[tuple[str, int], ...]:
    """Returns those that were named, web and Flower on this machine where none is, and both servers."""
    usual = f"127.0.0.1:{_web_port(env)},127.0.0.1:{_flower_port(env)}"
    found = []
    for text in env.words("OWN_LISTENERS", usual):
        host, _, port = text.rpartition(":")
        if host and port.isdecimal():
            found.append((host.strip("[]"), int(port)))
        else:
            raise WrongVariable(
                f"OWN_LISTENERS must be like web:8091,flower:5555, and has {text!r}"
            )
    for url in urls:
        parts = urlsplit(url)
        is_socket = not parts.hostname or "%" in parts.hostname  # in the file system
        if url not in (PLACEHOLDER_DATABASE, PLACEHOLDER_REDIS) and not is_socket:
            found.append((str(parts.hostname), parts.port or _PORTS.get(parts.scheme, 0)))
    return tuple(dict.fromkeys(found))


def _usual_url(env: Variables) -> str:
    """Web on this machine."""
    return f"http://127.0.0.1:{env.text('WEB_PORT', '8091')}"


def _read_url(env: Variables, name: str, default: str = "") -> str:
    text = env.text(name, default)
    if text and not re.fullmatch(r"https?://[!-~]+", text):
        raise WrongVariable(f"{name} must begin with http:// or https://, without blanks")
    return text


def _read_embedding_url(env: Variables) -> str:
    text = env.text("EMBEDDING_URL")
    try:
        if text:
            read_base_url(text)
    except ValueError as exc:
        raise WrongVariable(f"EMBEDDING_URL: {exc}") from None
    return text


def _read_languages(env: Variables) -> tuple[str, ...]:
    wanted = env.words("SEARCH_LANGUAGES", ",".join(DEFAULT_LANGUAGES))
    for name in wanted:
        if name not in (SIMPLE, *KNOWN_LANGUAGES):
            known = ", ".join(KNOWN_LANGUAGES)
            raise WrongVariable(f"SEARCH_LANGUAGES must be of {known}, and has {name!r}")
    return tuple(dict.fromkeys(name for name in wanted if name != SIMPLE))


def read() -> Environment:
    """Ends the program with one line where a variable does not hold what it must."""
    try:
        given = _read(Variables(os.environ))
        check_bounds(given)
    except WrongVariable as exc:
        raise SystemExit(str(exc)) from None
    return given


def _read(env: Variables) -> Environment:
    data_dir = Path(env.text("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
    said = {} if is_launcher() else read_stack_env(data_dir)
    take_over(said)
    if os.environ.get("SECRETS_KEYS") and os.environ.get("SECRETS_KEYS_FILE"):
        raise WrongVariable("SECRETS_KEYS and SECRETS_KEYS_FILE are both set: unset one of them")

    heartbeat_s = env.number("SYNC_HEARTBEAT_INTERVAL_SECONDS", 5)
    database_url = env.text("DATABASE_URL", PLACEHOLDER_DATABASE)
    redis_url = env.text("REDIS_URL", PLACEHOLDER_REDIS)
    return Environment(
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        secret_key=env.text("SECRET_KEY", ""),
        secrets_keys=env.words("SECRETS_KEYS"),
        stack_secrets_keys=_find_stack_keys(said),
        cron_secret=env.text("CRON_SECRET", ""),
        debug=env.flag("DEBUG"),
        failpoint=env.text("SYNC_FAILPOINT", ""),
        allowed_hosts=env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]"),
        allowed_networks=env.words("ALLOWED_NETWORKS"),
        own_listeners=_own_listeners(env, database_url, redis_url),
        metrics_networks=env.words("METRICS_NETWORKS", "127.0.0.0/8,::1/128"),
        trusted_proxies=env.words("TRUSTED_PROXIES"),
        csrf_trusted_origins=env.words("CSRF_TRUSTED_ORIGINS"),
        https_only=env.flag("HTTPS_ONLY"),
        sync_concurrency=env.whole("SYNC_CONCURRENCY", 8),
        batch_size=env.whole("BATCH_SIZE", 5),
        max_listed=env.whole("SYNC_MAX_LISTED_FILES", 10_000_000),
        max_per_host=env.whole("SYNC_MAX_PER_HOST", 4),
        min_free_bytes=env.whole("SYNC_MIN_FREE_BYTES", 1 << 30),
        sync_frequency=env.text("SYNC_FREQUENCY", "daily").lower(),
        sync_time=env.text("SYNC_TIME", "02:00"),
        supported_extensions=env.words("SUPPORTED_EXTENSIONS"),
        max_file_size_mb=env.find_whole("MAX_FILE_SIZE_MB"),
        max_retries=env.whole("MAX_RETRIES", 2),
        base_timeout_s=env.whole("SYNC_BASE_TIMEOUT_SECONDS", 300),
        per_file_timeout_s=env.number("SYNC_PER_FILE_TIMEOUT_SECONDS", 10),
        min_timeout_s=env.whole("SYNC_MIN_TIMEOUT_SECONDS", 300),
        max_timeout_s=env.whole("SYNC_MAX_TIMEOUT_SECONDS", 7200),
        heartbeat_interval_s=heartbeat_s,
        lease_s=env.number("SYNC_LEASE_SECONDS", default_lease_s(heartbeat_s)),
        connectivity_check_s=env.number("CONNECTIVITY_CHECK_INTERVAL_MS", 60_000) / 1000,
        client_api_url=env.text("CLIENT_API_URL", ""),
        client_api_key=env.text("CLIENT_API_KEY", ""),
        api_timeout_s=env.number("API_TIMEOUT", 30_000) / 1000,
        sync_interval_minutes=env.number("SYNC_INTERVAL_MINUTES", 5),
        enable_auto_sync=env.flag("ENABLE_AUTO_SYNC", default=True),
        outbox_batch_size=env.whole("OUTBOX_BATCH_SIZE", 1000),
        outbox_max_retries=env.whole("OUTBOX_MAX_RETRIES", 5),
        cleanup_interval_s=env.number("SYNC_CLEANUP_INTERVAL_SECONDS", 5),
        stall_s=env.number("SYNC_STALL_SECONDS", 600),
        publish_stall_s=env.number("SYNC_PUBLISH_STALL_SECONDS", 1200),
        hung_s=env.number("SYNC_HUNG_SECONDS", 60),
        presence_s=env.number("SYNC_PRESENCE_SECONDS", 5),
        silent_s=env.number("SYNC_SILENT_SECONDS", 60),
        api_requests_per_minute=env.whole("API_REQUESTS_PER_MINUTE", 30_000),
        tree_root=_read_tree_root(env),
        mcp_starts_per_hour=env.whole("MCP_STARTS_PER_HOUR", 60),
        index_budget_s=env.number("INDEX_BUDGET_SECONDS", 120),
        index_keep_s=env.number("INDEX_KEEP_DAYS", 7) * 24 * 3600,
        sse_max_streams=env.whole("SSE_MAX_STREAMS", 8),
        sse_max_streams_per_workspace=env.whole("SSE_MAX_STREAMS_PER_WORKSPACE", 6),
        sse_max_streams_per_token=env.whole("SSE_MAX_STREAMS_PER_TOKEN", 4),
        sse_max_s=env.number("SSE_MAX_SECONDS", 600),
        invited_may_sign_up=env.flag("INVITED_MAY_SIGN_UP", default=True),
        embedding_url=_read_embedding_url(env),
        embedding_model=env.text("EMBEDDING_MODEL", "text-embedding-3-small"),
        embedding_key=env.text("EMBEDDING_KEY"),
        search_languages=_read_languages(env),
        workspace=env.find("SYNC_WORKSPACE"),
        sync_token=env.text("SYNC_TOKEN", ""),
        flower_url=env.text("FLOWER_URL", ""),
        public_url=_read_url(env, "PUBLIC_URL", _usual_url(env)).rstrip("/"),
        heartbeat_url=_read_url(env, "HEARTBEAT_URL"),
        workers_expected=env.whole("WORKERS", 0),
        web_host=env.text("WEB_HOST", "127.0.0.1"),
        web_port=_web_port(env),
        flower_port=_flower_port(env),
        console_password=env.text("CONSOLE_PASSWORD", ""),
    )

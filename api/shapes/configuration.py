"""The installation's settings as JSON, by the names that they have in the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from pydantic import create_model

from api.shapes.answers import Told
from farends.web.url import without_user

# Names one by one, so that no secret comes along by being added.
SHOWN: dict[str, str] = {
    "DATA_DIR": "data_dir",
    "TREE_ROOT": "tree_root",
    "DEBUG": "debug",
    "ALLOWED_HOSTS": "allowed_hosts",
    "ALLOWED_NETWORKS": "allowed_networks",
    "OWN_LISTENERS": "own_listeners",
    "METRICS_NETWORKS": "metrics_networks",
    "TRUSTED_PROXIES": "trusted_proxies",
    "CSRF_TRUSTED_ORIGINS": "csrf_trusted_origins",
    "HTTPS_ONLY": "https_only",
    "SYNC_CONCURRENCY": "sync_concurrency",
    "BATCH_SIZE": "batch_size",
    "SYNC_MIN_FREE_BYTES": "min_free_bytes",
    "SYNC_MAX_LISTED_FILES": "max_listed",
    "SYNC_MAX_PER_HOST": "max_per_host",
    "SYNC_FREQUENCY": "sync_frequency",
    "SYNC_TIME": "sync_time",
    "SUPPORTED_EXTENSIONS": "supported_extensions",
    "MAX_FILE_SIZE_MB": "max_file_size_mb",
    "MAX_RETRIES": "max_retries",
    "SYNC_BASE_TIMEOUT_SECONDS": "base_timeout_s",
    "SYNC_PER_FILE_TIMEOUT_SECONDS": "per_file_timeout_s",
    "SYNC_MIN_TIMEOUT_SECONDS": "min_timeout_s",
    "SYNC_MAX_TIMEOUT_SECONDS": "max_timeout_s",
    "SYNC_HEARTBEAT_INTERVAL_SECONDS": "heartbeat_interval_s",
    "SYNC_LEASE_SECONDS": "lease_s",
    "CONNECTIVITY_CHECK_INTERVAL_MS": "connectivity_check_s",
    "CLIENT_API_URL": "client_api_url",
    "API_TIMEOUT": "api_timeout_s",
    "SYNC_INTERVAL_MINUTES": "sync_interval_minutes",
    "ENABLE_AUTO_SYNC": "enable_auto_sync",
    "OUTBOX_BATCH_SIZE": "outbox_batch_size",
    "OUTBOX_MAX_RETRIES": "outbox_max_retries",
    "SYNC_CLEANUP_INTERVAL_SECONDS": "cleanup_interval_s",
    "SYNC_STALL_SECONDS": "stall_s",
    "SYNC_PUBLISH_STALL_SECONDS": "publish_stall_s",
    "SYNC_HUNG_SECONDS": "hung_s",
    "SYNC_PRESENCE_SECONDS": "presence_s",
    "SYNC_SILENT_SECONDS": "silent_s",
    "API_REQUESTS_PER_MINUTE": "api_requests_per_minute",
    "MCP_STARTS_PER_HOUR": "mcp_starts_per_hour",
    "INDEX_BUDGET_SECONDS": "index_budget_s",
    "INDEX_KEEP_DAYS": "index_keep_s",
    "SSE_MAX_STREAMS": "sse_max_streams",
    "SSE_MAX_STREAMS_PER_WORKSPACE": "sse_max_streams_per_workspace",
    "SSE_MAX_STREAMS_PER_TOKEN": "sse_max_streams_per_token",
    "SSE_MAX_SECONDS": "sse_max_s",
    "INVITED_MAY_SIGN_UP": "invited_may_sign_up",
    "EMBEDDING_URL": "embedding_url",
    "EMBEDDING_MODEL": "embedding_model",
    "SEARCH_LANGUAGES": "search_languages",
    "SYNC_WORKSPACE": "workspace",
    "FLOWER_URL": "flower_url",
    "PUBLIC_URL": "public_url",
    "WORKERS": "workers_expected",
    "WEB_HOST": "web_host",
    "WEB_PORT": "web_port",
    "FLOWER_PORT": "flower_port",
}
# The whole value of each of these is a secret, or holds one.
SECRET = frozenset(
    {
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "SECRETS_KEYS",
        "CRON_SECRET",
        "CLIENT_API_KEY",
        "EMBEDDING_KEY",
        "HEARTBEAT_URL",  # whoever knows it can tell the outside watcher that all is well
        "SYNC_TOKEN",
        "CONSOLE_PASSWORD",
        "FLOWER_PASSWORD",
        "SYNC_FAILPOINT",  # for developers alone
    }
)
# Variables whose unit is not that of the field that keeps them.
_UNITS: dict[str, Callable[[float], float]] = {
    "CONNECTIVITY_CHECK_INTERVAL_MS": lambda seconds: seconds * 1000,
    "API_TIMEOUT": lambda seconds: seconds * 1000,
    "INDEX_KEEP_DAYS": lambda seconds: seconds / 86_400,
}


def _type_of(name: str) -> Any:
    """Returns the type in JSON of a variable's value."""
    written = str(type(settings.SYNC).__dataclass_fields__[SHOWN[name]].type)
    known: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "Path": str}
    if written.startswith("tuple["):
        return list[str]
    kind = known[written.removesuffix(" | None")]
    return kind | None if written.endswith("| None") else kind


if TYPE_CHECKING:
    Configuration = Told
else:
    Configuration = create_model(
        "Configuration",
        __base__=Told,
        __module__=__name__,
        __doc__="The installation's settings, by the names that they have in the environment; no secrets.",
        **{name: (_type_of(name), ...) for name in SHOWN},
    )


def tell_configuration() -> Configuration:
    return Configuration(**{name: _tell(name) for name in SHOWN})


def _tell(name: str) -> Any:
    value = getattr(settings.SYNC, SHOWN[name])
    if name in _UNITS:
        return _UNITS[name](value)
    if isinstance(value, Path):
        return str(value)
    if name.endswith("_URL"):
        return without_user(value)
    if isinstance(value, tuple):
        return [":".join(map(str, one)) if isinstance(one, tuple) else one for one in value]
    return value

"""What this installation is: its version, its limits, where its things lie, and under which licences it runs."""

from __future__ import annotations

import platform
import tomllib
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console import tenancy

ROOT = Path(__file__).parents[1]
# One by one, so that no secret comes along by being added.
_LIMITS = {
    "SYNC_CONCURRENCY": "sync_concurrency",
    "BATCH_SIZE": "batch_size",
    "SYNC_MAX_PER_HOST": "max_per_host",
    "MAX_RETRIES": "max_retries",
    "MAX_FILE_SIZE_MB": "max_file_size_mb",
    "SYNC_MAX_LISTED_FILES": "max_listed",
    "SYNC_MIN_FREE_BYTES": "min_free_bytes",
    "SYNC_MIN_TIMEOUT_SECONDS": "min_timeout_s",
    "SYNC_MAX_TIMEOUT_SECONDS": "max_timeout_s",
    "SYNC_HEARTBEAT_INTERVAL_SECONDS": "heartbeat_interval_s",
    "SYNC_LEASE_SECONDS": "lease_s",
    "SYNC_STALL_SECONDS": "stall_s",
    "API_REQUESTS_PER_MINUTE": "api_requests_per_minute",
    "MCP_STARTS_PER_HOUR": "mcp_starts_per_hour",
}


def about_view(request: HttpRequest) -> HttpResponse:
    """Paths are shown to who runs the installation alone."""
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "About",
        "subtitle": None,
        "versions": _list_versions(),
        "limits": [
            (name, getattr(settings.SYNC, attribute)) for name, attribute in _LIMITS.items()
        ],
        "paths": _list_paths() if tenancy.sees_all(request) else [],
        "licences": _list_licences(),
    }
    return TemplateResponse(request, "console/about.html", context)


def _list_versions() -> list[tuple[str, str]]:
    major, minor = divmod(connection.cursor().connection.info.server_version, 10_000)
    return [
        ("SyncProject", _read_version()),
        ("Python", platform.python_version()),
        ("PostgreSQL", f"{major}.{minor}"),
    ]


@cache
def _read_version() -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _list_paths() -> list[tuple[str, str]]:
    return [
        ("Data", str(settings.SYNC.data_dir)),
        ("Store of files", str(settings.STORE_ROOT)),
        ("Trees", str(settings.TREE_ROOT or "none: TREE_ROOT is not set")),
    ]


@cache
def _list_licences() -> list[tuple[str, str, str]]:
    """Name, version and licence of each package that runs with us."""
    found = {}
    for each in distributions():
        name = each.metadata["Name"]
        if name:
            found[name.lower()] = (name, each.version, _name_licence(each.metadata))
    return [found[name] for name in sorted(found)]


def _name_licence(metadata: Any) -> str:
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classes = metadata.get_all("Classifier") or []
    named = [each.rpartition(" :: ")[2] for each in classes if each.startswith("License ::")]
    if named:
        return ", ".join(named)
    first = (metadata.get("License") or "").strip().splitlines()
    return first[0][:80] if first else "not told"

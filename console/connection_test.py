"""The connection test as it is kept with a connector, in words."""

from __future__ import annotations

from typing import Any

from connectors.models import Connector
from connectors.opening import find_capabilities
from farends.errors import ConnectionStage
from farends.measuring import describe_capabilities

TITLES: dict[str, str] = {
    ConnectionStage.RESOLVE: "Find the host's address",
    ConnectionStage.CONNECT: "Connect",
    ConnectionStage.IDENTITY: "Check the host key or certificate",
    ConnectionStage.TLS: "Check the certificate",
    ConnectionStage.LOG_IN: "Log in",
    ConnectionStage.UPLOAD: "Find the path of readings",
    ConnectionStage.LIST: "List the folder",
    ConnectionStage.READ: "Read a file",
    ConnectionStage.CLOCK: "Compare clocks",
    ConnectionStage.FEATURES: "Ask for features",
}
ICONS = {"passed": "ok", "failed": "x", "skipped": "next"}


def describe_test(connector: Connector) -> list[dict[str, Any]]:
    """One row for each stage: title, outcome, icon, detail, advice."""
    return [
        {
            "title": TITLES.get(stage.get("stage", ""), stage.get("stage", "")),
            "outcome": stage.get("outcome", ""),
            "word": _tell_outcome(stage),
            "icon": ICONS.get(stage.get("outcome", ""), "unknown"),
            "detail": _tell_detail(stage),
            "advice": stage.get("advice") or "",
        }
        for stage in connector.last_test or []
    ]


_NOT_REACHED = "not reached"  # what follows a stage that failed


def _tell_outcome(stage: dict[str, Any]) -> str:
    outcome = str(stage.get("outcome", ""))
    if outcome != "skipped":
        return outcome
    return _NOT_REACHED if stage.get("detail") == _NOT_REACHED else "left out"


def _tell_detail(stage: dict[str, Any]) -> str:
    detail = str(stage.get("detail") or "")
    return "" if detail == _NOT_REACHED else detail


def describe_host(connector: Connector) -> list[tuple[str, str]]:
    """What this host can do, as last measured: titles and words. Empty where nothing was yet."""
    capabilities = find_capabilities(connector)
    return [] if capabilities is None else describe_capabilities(capabilities)


def summarize_test(connector: Connector) -> tuple[bool, str]:
    """Whether nothing failed, and one sentence."""
    stages = describe_test(connector)
    failed = next((stage for stage in stages if stage["outcome"] == "failed"), None)
    if failed is None:
        return True, "the connection test passed."
    return False, f"“{failed['title']}” failed. {failed['detail']} {failed['advice']}".strip()

"""Kind mcp against the servers of other makers, in each revision that they speak."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farends.contract import Fetched, RemoteEntry
from farends.errors import McpProtocol
from farends.mcp.options import McpOptions, McpSecret
from farends.probe import probe
from farends.registry import get_spec
from farends.spec import Target
from farends.stages import StageOutcome
from tests.hosts.mcp_servers import running_everything, running_sdk_server
from tests.hosts.sdk_mcp_server import BLOB, TEXTS
from tests.hosts.sinks import DigestSink, digest_of, loopback_context

SPEC = get_spec("mcp")
GREEN = "kit/grün/é.md"


def target(port: int, **options: Any) -> Target:
    return Target("127.0.0.1", port, McpOptions(scheme="http", **options), McpSecret())


def fetch_all(port: int, **options: Any) -> tuple[str, dict[str, Fetched]]:
    """What the server says that it is, and what came, by path."""
    with closing(SPEC.open(target(port, **options), loopback_context())) as transport:
        entries = [item for item in transport.walk() if isinstance(item, RemoteEntry)]
        answers = list(transport.fetch(entries, DigestSink()))
        return transport.capabilities.server_software, {a.entry.path: a for a in answers}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_everything(tmp_path_factory.mktemp("everything")) as port:
        yield port


@pytest.mark.parametrize("protocol", ["auto", "2025-11-25"])
def test_the_reference_server_is_read_by_events_in_a_session(
    everything: int, protocol: str
) -> None:
    software, answers = fetch_all(everything, protocol=protocol)
    assert software.endswith("(MCP 2025-11-25)")
    assert "demo/resource/static/document/architecture.md" in answers
    assert len(answers) == 7
    assert all(answer.error is None for answer in answers.values())
    again = fetch_all(everything, protocol=protocol)[1]
    assert {p: a.receipt for p, a in again.items()} == {p: a.receipt for p, a in answers.items()}


def test_the_reference_server_passes_the_connection_test(everything: int) -> None:
    results = probe(SPEC, target(everything), loopback_context())
    assert [r for r in results if r.outcome is StageOutcome.FAILED] == []


@pytest.mark.parametrize("flags", [(), ("json",)])
@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        ("1.30.0", {"auto": "2025-11-25", "2025-11-25": "2025-11-25", "2026-07-28": ""}),
        ("2.3.0", {"auto": "2026-07-28", "2025-11-25": "2025-11-25", "2026-07-28": "2026-07-28"}),
    ],
)
def test_the_official_sdk_is_read_in_every_revision_that_it_speaks(
    tmp_path: Path, version: str, spoken: dict[str, str], flags: tuple[str, ...]
) -> None:
    with running_sdk_server(version, tmp_path, *flags) as port:
        for protocol, expected in spoken.items():
            if not expected:
                with pytest.raises(McpProtocol):
                    fetch_all(port, protocol=protocol)
                continue
            software, answers = fetch_all(port, protocol=protocol)
            assert software.startswith("kit")
            assert software.endswith(f"(MCP {expected})")
            assert {path: answer.receipt for path, answer in answers.items()} == {
                "kit/notes/0/a.md": digest_of(TEXTS["kit://notes/0/a.md"].encode()),
                GREEN: digest_of(TEXTS["kit://grün/é.md"].encode()),
                "kit/empty": digest_of(b""),
                "kit/bin/x.png": digest_of(BLOB),
            }


@pytest.mark.parametrize("version", ["1.30.0", "2.3.0"])
def test_a_server_of_tools_alone_on_the_official_sdk_is_told(tmp_path: Path, version: str) -> None:
    with running_sdk_server(version, tmp_path, "tools") as port:
        results = probe(SPEC, target(port), loopback_context())
    (failed,) = [result for result in results if result.outcome is StageOutcome.FAILED]
    assert failed.code == "mcp_tools_only"
    assert "only 2 tools" in failed.detail

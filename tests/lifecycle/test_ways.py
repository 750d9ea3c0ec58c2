"""Proxies and jump hosts bear the connections of all far ends behind them: they are counted, and learned of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.models import Connector, HostBudget, name_dialled_address
from embedded.ports import find_free
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.ringing import take_unrung
from tests.hosts.proxies import ProxyServer, running_proxy
from tests.hosts.sshd import Sshd
from tests.lifecycle.test_limits import claim_all, host, queue
from tests.rows import make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("kind", "options", "dialled"),
    [
        ("sftp", {"proxy": "", "jump_host": "", "jump_port": 22}, "far.example:22"),
        ("sftp", {}, "far.example:22"),
        ("sftp", {"proxy": None, "jump_host": None, "jump_port": None}, "far.example:22"),
        ("http", {"proxy": "socks5://Proxy.example:1080"}, "proxy.example:1080"),
        ("sftp", {"jump_host": "Jump.example", "jump_port": 2222}, "jump.example:2222"),
        ("ssh", {"jump_host": "jump.example"}, "jump.example:22"),
        ("http", {"jump_host": "jump.example"}, "far.example:22"),
        (
            "sftp",
            {"proxy": "http://proxy.example:3128", "jump_host": "jump.example"},
            "proxy.example:3128",
        ),
        ("sftp", {"proxy": "no url"}, "far.example:22"),
        ("sftp", {"proxy": "no url", "jump_host": "jump.example"}, "jump.example:22"),
        ("unknown", {"proxy": "http://proxy.example:3128"}, "far.example:22"),
    ],
)
def test_who_is_dialled(kind: str, options: dict[str, Any], dialled: str) -> None:
    connector = Connector(kind=kind, host="Far.example", port=22, options=options)
    assert connector.dialled == dialled
    assert name_dialled_address(kind, "Far.example", 22, json.dumps(options)) == dialled


def behind(way: dict[str, Any], address: str, workspace: str = "acme") -> Connector:
    connector = host(workspace, address)
    connector.options |= way
    connector.save()
    return connector


@pytest.mark.parametrize(
    "way", [{"proxy": "socks5://192.0.2.99:1080"}, {"jump_host": "192.0.2.99", "jump_port": 1080}]
)
def test_a_hosts_limit_counts_what_is_really_connected_to(
    settings: Any, way: dict[str, Any]
) -> None:
    """Nine far ends in three workspaces, and one host that bears the connections to all of them."""
    settings.SYNC = dataclasses.replace(settings.SYNC, batch_size=0, max_per_host=2)
    records: list[SyncRecord] = []
    for number in range(9):
        records += queue(behind(way, f"192.0.2.{number}", f"tenant-{number % 3}"))
    assert {record.dialled for record in records} == {"192.0.2.99:1080"}
    assert len(claim_all(records)) == 2
    assert take_unrung() == []
    waiting = SyncRecord.objects.filter(state=State.QUEUED).first()
    assert waiting is not None
    assert waiting.waiting_for == "a free place at 192.0.2.99:1080 (2 of 2 run)"
    direct = queue(host(address="192.0.2.0"))
    assert claim(direct[0].pk, "worker") is not None


def job_by(proxy: str, sshd: Sshd, source: Path, port: int) -> SyncJob:
    target = sshd.target(source)
    options = dataclasses.replace(target.options, proxy=proxy)
    return make_job(make_connector(dataclasses.replace(target, options=options, port=port)))


def failures() -> dict[str, int]:
    return dict(HostBudget.objects.values_list("address", "failures"))


def test_a_dead_host_behind_a_proxy_says_nothing_of_the_proxy(sshd: Sshd, source: Path) -> None:
    dead = find_free()
    with running_proxy(ProxyServer("socks5")) as proxy:
        assert run(job_by(proxy.url, sshd, source, dead)).error_code == "unreachable"
        assert failures() == {f"127.0.0.1:{dead}": 1}
        assert run(job_by(proxy.url, sshd, source, sshd.port)).state == State.SUCCEEDED


def test_a_dead_proxy_is_what_nobody_calls(sshd: Sshd, source: Path) -> None:
    dead = find_free()
    job = job_by(f"socks5://127.0.0.1:{dead}", sshd, source, sshd.port)
    assert run(job).error_code == "unreachable"
    assert failures() == {f"127.0.0.1:{dead}": 1}
    HostBudget.objects.update(max_running=0)
    other = run(job_by(f"socks5://127.0.0.1:{dead}", sshd, source, find_free()))
    assert other.waiting_for == f"a free place at 127.0.0.1:{dead}, which bears 0 at once"

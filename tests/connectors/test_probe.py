"""The staged connection test."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from embedded.ports import find_free
from farends.errors import Stage
from farends.http.transport import HTTP_SPEC, HttpOptions, HttpSecret
from farends.probe import Outcome, StageResult, probe
from farends.sftp.transport import SPEC, SftpSecret
from farends.spec import Target
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.sinks import loopback_context
from tests.hosts.sshd import Sshd


def outcomes(results: list[StageResult]) -> dict[str, str]:
    assert [result.stage for result in results] == list(Stage)
    json.dumps([asdict(result) for result in results])
    return {str(result.stage): str(result.outcome) for result in results}


def failed(results: list[StageResult]) -> StageResult:
    (found,) = [result for result in results if result.outcome is Outcome.FAILED]
    assert found.advice
    return found


def test_all_is_well(sshd: Sshd, folder: Path) -> None:
    (folder / "file").write_bytes(b"x")
    results = probe(SPEC, sshd.target(folder), loopback_context())
    assert outcomes(results) == {
        "resolve": "passed",
        "connect": "passed",
        "identity": "passed",
        "log_in": "passed",
        "list": "passed",
        "read": "passed",
        "clock": "skipped",
        "features": "passed",
    }


def test_an_unknown_host_key_is_offered_for_approval(sshd: Sshd, folder: Path) -> None:
    results = probe(SPEC, sshd.target(folder, host_key=""), loopback_context())
    assert outcomes(results) == {
        "resolve": "passed",
        "connect": "passed",
        "identity": "failed",
        "log_in": "skipped",
        "list": "skipped",
        "read": "skipped",
        "clock": "skipped",
        "features": "skipped",
    }
    told = failed(results)
    assert told.offered.startswith("SHA256:")
    assert told.offered in told.advice
    again = sshd.target(folder, host_key=told.offered)
    assert not [r for r in probe(SPEC, again, loopback_context()) if r.outcome is Outcome.FAILED]


def test_each_failure_is_told_at_its_stage(sshd: Sshd, folder: Path) -> None:
    good = sshd.target(folder)
    cases = {
        "resolve": replace(good, host="nothing.invalid"),
        "connect": replace(good, port=find_free()),
        "log_in": replace(good, secret=SftpSecret(password="wrong")),
        "list": sshd.target(folder / "nowhere"),
    }
    for stage, target in cases.items():
        assert failed(probe(SPEC, target, loopback_context())).stage == stage


def test_an_empty_folder_leaves_nothing_to_read(sshd: Sshd, folder: Path) -> None:
    results = probe(SPEC, sshd.target(folder), loopback_context())
    assert outcomes(results)["read"] == "skipped"
    assert outcomes(results)["features"] == "passed"


def test_a_clock_that_is_off_is_told() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        date = "Date: Sat, 01 Jan 2000 00:00:00 GMT"
        conversation.answer(b'<a href="f">f</a>' if request.target == "/" else b"x", date)

    with scripted_http(script) as host:
        target = Target("127.0.0.1", host.port, HttpOptions(), HttpSecret())
        told = failed(probe(HTTP_SPEC, target, loopback_context()))
    assert (told.stage, told.code) == (Stage.CLOCK, "clock_skew")

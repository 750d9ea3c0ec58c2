"""The staged connection test."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from embedded.ports import find_free
from farends.errors import ConnectionStage
from farends.http.transport import HTTP_SPEC, HttpOptions, HttpSecret
from farends.probe import probe
from farends.sftp.transport import SPEC, SftpSecret
from farends.spec import Target
from farends.stages import FILE_STAGES, StageOutcome, StageResult
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.sinks import loopback_context
from tests.hosts.sshd import Sshd


def outcomes(results: list[StageResult]) -> dict[str, str]:
    assert [result.stage for result in results] == list(FILE_STAGES)
    json.dumps([asdict(result) for result in results])
    return {str(result.stage): str(result.outcome) for result in results}


def failed(results: list[StageResult]) -> StageResult:
    (found,) = [result for result in results if result.outcome is StageOutcome.FAILED]
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
    assert not [
        r for r in probe(SPEC, again, loopback_context()) if r.outcome is StageOutcome.FAILED
    ]


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
    assert (told.stage, told.code) == (ConnectionStage.CLOCK, "clock_skew")


def test_an_http_host_says_what_it_makes_of_the_log_in() -> None:
    """A listing that a host shows to anybody proves no log-in."""

    def script(request: Request, conversation: Conversation) -> None:
        if request.fields.get("authorization") != "Bearer known":
            conversation.answer(b"", status="401 Who are you")
        elif request.target == "/data/":
            conversation.answer(b"", "Location: /moved/", status="302 Found")
        else:
            conversation.answer(b'<a href="f">f</a>' if request.target[-1] == "/" else b"x")

    def told(token: str, **options: object) -> dict[ConnectionStage, StageResult]:
        given = {"root": "/data", "auth": "bearer", **options}
        target = host.target(secret=HttpSecret(token=token), **given)  # type: ignore[arg-type]
        return {result.stage: result for result in probe(HTTP_SPEC, target, loopback_context())}

    with scripted_http(script) as host:
        refused = told("unknown")
        assert len(host.requests) == 1  # nothing more is asked without a log-in
        assert refused[ConnectionStage.LOG_IN].code == "auth_refused"
        place = f"http://127.0.0.1:{host.port}/moved/"
        detail = f"the host answered 200 to the log-in by bearer, from {place}"
        assert told("known")[ConnectionStage.LOG_IN].detail == detail
        by_files = told("known", urls=("/elsewhere.csv",))[ConnectionStage.LOG_IN]
        assert by_files.detail == "the host answered 200 to the log-in by bearer"


def test_an_http_host_that_is_no_http_host_fails_the_log_in() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        conversation.say(b"SSH-2.0-OpenSSH_9.2\r\n")
        conversation.hang_up()

    with scripted_http(script) as host:
        told = failed(probe(HTTP_SPEC, host.target(), loopback_context()))
    assert (told.stage, told.code) == (ConnectionStage.LOG_IN, "protocol")
    assert "SSH-2.0" in told.detail

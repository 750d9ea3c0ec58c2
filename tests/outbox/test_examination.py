"""The connection test of a client system: each stage, without a reading."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from connectors.opening import test_connector as run_test
from connectors.secrets import seal
from embedded.ports import find_free
from events.models import SyncEvent
from farends.client.examination import STAGES
from farends.client.kind import SPEC
from farends.client.options import ClientOptions, ClientSecret
from farends.probe import probe
from farends.spec import Target
from farends.stages import StageResult
from tests.api.asking import Asker
from tests.hosts.certificates import make_certificates
from tests.hosts.scripted_http import Conversation, Request, ScriptedHttp, scripted_http
from tests.hosts.sinks import loopback_context
from tests.outbox.hosts import KEY, Receiver, running_receiver
from tests.outbox.rows import make_client
from workspaces.models import Role
from workspaces.tokens import create_token

PASSED = {
    "resolve": "passed",
    "connect": "passed",
    "identity": "skipped",
    "log_in": "passed",
    "upload": "passed",
    "clock": "passed",
}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def look(
    port: int, token: str = KEY, host: str = "127.0.0.1", **options: object
) -> list[StageResult]:
    given = ClientOptions(**{"tls": False, "timeout_s": 5.0, **options})  # type: ignore[arg-type]
    target = Target(host, port, given, ClientSecret(token=token))
    results = probe(SPEC, target, loopback_context())
    assert tuple(result.stage for result in results) == STAGES
    return results


def outcomes(results: list[StageResult]) -> dict[str, str]:
    return {str(result.stage): str(result.outcome) for result in results}


def told(results: list[StageResult], stage: str) -> StageResult:
    (found,) = [result for result in results if result.stage == stage]
    return found


@pytest.mark.parametrize("auth", ["header", "bearer", "login"])
def test_each_stage_passes_and_the_client_system_takes_nothing(
    receiver: Receiver, auth: str
) -> None:
    results = look(receiver.port, auth=auth)
    assert outcomes(results) == PASSED
    assert "travels in the clear" in told(results, "identity").detail
    assert "takes POST" in told(results, "upload").detail
    assert receiver.taken["readings"] == receiver.taken["batches"] == len(receiver.seen) == 0


@pytest.mark.parametrize("auth", ["header", "bearer", "login"])
def test_another_key_is_told_at_the_log_in(receiver: Receiver, auth: str) -> None:
    results = look(receiver.port, token="another", auth=auth)
    assert outcomes(results) == PASSED | {
        "log_in": "failed",
        "upload": "skipped",
        "clock": "skipped",
    }
    failed = told(results, "log_in")
    assert failed.code == "auth_refused"
    assert failed.advice
    assert told(results, "upload").detail == "not reached"


def test_the_way_there_is_told_at_its_own_stages(receiver: Receiver) -> None:
    nowhere = look(receiver.port, host="nothing.invalid")
    assert outcomes(nowhere)["resolve"] == "failed"
    closed = look(find_free())
    assert (outcomes(closed)["resolve"], outcomes(closed)["connect"]) == ("passed", "failed")
    no_tls = look(receiver.port, tls=True)
    assert outcomes(no_tls) == dict.fromkeys(PASSED, "skipped") | {
        "resolve": "passed",
        "connect": "passed",
        "identity": "failed",
    }


def scripted(answers: dict[str, tuple[str, ...]]) -> Iterator[ScriptedHttp]:
    """Answers by method: the status, then fields. A method that is not named is hung up on."""

    def script(request: Request, conversation: Conversation) -> None:
        if request.method not in answers:
            conversation.hang_up()
            return
        status, *fields = answers[request.method]
        conversation.answer(b"{}", *fields, status=status)

    with scripted_http(script) as host:
        yield host


CASES = [
    ("404 Not Found", (), "failed", "no such path"),
    ("410 Gone", (), "failed", "no such path"),
    ("405 Method Not Allowed", ("Allow: POST",), "passed", "it takes POST"),
    ("405 Method Not Allowed", ("Allow: GET, HEAD",), "failed", "takes GET, HEAD, and not POST"),
    ("405 Method Not Allowed", (), "skipped", "does not answer OPTIONS"),
    ("200 OK", ("Allow: GET, post",), "passed", "it takes POST"),
    ("200 OK", ("Allow: GET",), "failed", "and not POST"),
    ("204 No Content", (), "passed", "the path is there"),
    ("403 Forbidden", (), "failed", "may not be used here"),
    ("400 Bad Request", (), "skipped", "says nothing of POST"),
    ("307 Temporary Redirect", ("Location: http://127.0.0.2/",), "failed", "307"),
    ("503 Service Unavailable", (), "failed", "503"),
]


@pytest.mark.parametrize(("status", "fields", "outcome", "words"), CASES)
def test_the_answer_about_the_path_of_readings_is_told_as_what_it_means(
    status: str, fields: tuple[str, ...], outcome: str, words: str
) -> None:
    for host in scripted({"POST": ("200 OK",), "OPTIONS": (status, *fields)}):
        results = look(host.port)
        found = told(results, "upload")
        assert (found.outcome, words in found.detail) == (outcome, True), found
        assert bool(found.advice) == (outcome == "failed")
        assert [(request.method, request.target) for request in host.requests] == [
            ("POST", "/auth"),
            ("OPTIONS", "/readings/batch"),
        ]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("404 Not Found", "skipped"), ("405 Method Not Allowed", "skipped"), ("403 Forbidden", "failed"),
     ("500 Internal Server Error", "failed"), ("301 Moved Permanently", "failed")],
)  # fmt: skip
def test_a_client_system_without_a_path_for_the_log_in_is_looked_at_further(
    status: str, outcome: str
) -> None:
    for host in scripted({"POST": (status, "Location: /"), "OPTIONS": ("204 No Content",)}):
        results = look(host.port)
        assert told(results, "log_in").outcome == outcome
        assert told(results, "upload").outcome == ("passed" if outcome == "skipped" else "skipped")


def test_a_client_system_that_hangs_up_fails_the_stage_that_was_reached() -> None:
    for host in scripted({"POST": ("200 OK",)}):
        assert outcomes(look(host.port)) == PASSED | {"upload": "failed", "clock": "skipped"}
    for host in scripted({}):
        assert outcomes(look(host.port))["log_in"] == "failed"


def test_a_clock_that_is_off_is_told() -> None:
    for behind_s, outcome in ((0, "passed"), (3600, "failed")):
        at = datetime.now(UTC) - timedelta(seconds=behind_s)
        date = f"Date: {at:%a, %d %b %Y %H:%M:%S} GMT"
        for host in scripted({"POST": ("200 OK",), "OPTIONS": ("204 No Content", date)}):
            found = told(look(host.port), "clock")
            assert found.outcome == outcome
            assert found.code == ("clock_skew" if behind_s else "")


def test_a_certificate_that_nobody_trusts_is_told_and_a_trusted_one_passes(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.server)

    def script(request: Request, conversation: Conversation) -> None:
        conversation.answer(b"{}")

    with scripted_http(script, tls) as host:
        failed = told(look(host.port, tls=True), "identity")
        assert (failed.outcome, failed.code) == ("failed", "tls")
        trusted = look(host.port, tls=True, ca_certificate=made.authority)
        assert outcomes(trusted)["identity"] == outcomes(trusted)["log_in"] == "passed"


@pytest.mark.django_db
def test_the_command_and_rest_show_the_stages_of_a_client_system(
    receiver: Receiver, settings: Settings
) -> None:
    client = make_client(port=receiver.port, options={"tls": False})
    seal(client, {"token": KEY})
    client.save()
    results = run_test(client)
    assert outcomes(results) == PASSED
    said = io.StringIO()
    call_command("test_connector", client.name, workspace="acme", json=True, stdout=said)
    assert {stage["stage"]: stage["outcome"] for stage in json.loads(said.getvalue())} == PASSED
    admin = Asker(create_token(client.workspace, name="t", role=Role.ADMIN)[1])
    told_by_rest = admin.post(f"connectors/{client.name}/test").json()
    assert {one["stage"]: one["outcome"] for one in told_by_rest["stages"]} == PASSED
    connected = SyncEvent.objects.filter(connector_id=client.pk, event="connected")
    assert connected.count() == 1  # the test reports to the monitor as other work does

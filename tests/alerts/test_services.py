"""What services of others receive: Slack and PagerDuty by their own names over TLS, and a mail server."""

from __future__ import annotations

import contextlib
import email
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from alerts.core.words import Severity
from alerts.models import Alert, AlertMessage
from alerts.sending.courier import Courier
from alerts.sending.making import make_messages
from embedded.ports import find_free
from tests.alerts.things import (
    NOON,
    bodies_of,
    make_alert,
    make_channel,
    make_rule,
    make_workspace,
    minutes,
    open_alert,
    recover_alert,
    tell,
)

pytestmark = pytest.mark.django_db

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"
PAGERDUTY = "pagerduty://A1BRTD4JD0A1BRTD4JD0A1BRTD4JD0AA@TIiajkdnlazkcOXrIdevi7F/host/part"


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]


def make_bodies() -> tuple[list[Alert], list[dict[str, Any]]]:
    """Two alerts open, and one of them recovers."""
    workspace = make_workspace()
    channel = make_channel(workspace, group_s=0)
    alerts = [
        make_alert(make_rule(workspace, Severity.CRITICAL, name="nightly"), "payroll @everyone"),
        make_alert(make_rule(workspace, Severity.WARNING), "reports", detail="the folder is gone"),
    ]
    tell([open_alert(alert, NOON) for alert in alerts], NOON)
    make_messages(NOON)
    AlertMessage.objects.update(ended_at=NOON)
    tell(recover_alert(alerts[0], NOON + minutes(5)), NOON + minutes(5))
    make_messages(NOON + minutes(5))
    return alerts, bodies_of(channel)


def send_behind_names(letters: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["unshare", "--mount", "--net", sys.executable, "-m", "tests.alerts.behind_names", folder],
        input=json.dumps(letters),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_slack_and_pagerduty_get_text_severity_and_a_key_that_the_recovery_resolves(
    tmp_path: Path,
) -> None:
    (payroll, reports), bodies = make_bodies()
    letters = [{"url": url, "body": body} for url in (SLACK, PAGERDUTY) for body in bodies]
    told = send_behind_names(letters, tmp_path)
    assert told["receipts"] == [[True, "", ""]] * 4
    slack = [one for one in told["sent"] if one["host"] == "hooks.slack.com"]
    pages = [one["body"] for one in told["sent"] if one["host"] == "events.pagerduty.com"]

    opened, recovered = (json.dumps(one["body"], ensure_ascii=False) for one in slack)
    assert slack[0]["path"] == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert slack[0]["body"]["channel"] == "#ops"
    assert "[critical] 2 alerts" in opened
    assert "the folder is gone" in opened
    assert "@everyone" not in opened
    assert f"Delivery {bodies[0]['syncproject']['delivery']}" in opened
    assert "[recovered] payroll" in recovered

    first, second, resolved = pages
    assert first["dedup_key"] == resolved["dedup_key"] == str(payroll.pk)
    assert second["dedup_key"] == str(reports.pk)
    assert [one["event_action"] for one in pages] == ["trigger", "trigger", "resolve"]
    assert [one["payload"]["severity"] for one in (first, second)] == ["critical", "warning"]
    assert "the folder is gone" in second["payload"]["summary"]
    assert "Delivery" in second["payload"]["summary"].splitlines()[-1]
    assert second["routing_key"] == "A1BRTD4JD0A1BRTD4JD0A1BRTD4JD0AA"


class Mailbox:
    """An aiosmtpd handler that keeps what comes, or refuses it."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.mails: list[Message] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.refusal or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def running_smtp(mailbox: Mailbox) -> Iterator[int]:
    port = find_free()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def send_mail(port: int, body: dict[str, Any]) -> tuple[bool, str]:
    url = f"mailto://127.0.0.1:{port}?from=sync@example.org&to=ops@example.org&mode=insecure"
    return send_to(url, body)


def send_to(url: str, body: dict[str, Any]) -> tuple[bool, str]:
    with closing(Courier()) as courier:
        courier.send(url, json.dumps(body).encode())
        while courier.sending_count:
            for receipt in courier.wait(1):
                return receipt.delivered, receipt.code
    raise AssertionError("no receipt")


def test_a_mail_has_the_text_as_it_is_and_the_delivery_in_its_head() -> None:
    _, (body, _) = make_bodies()
    mailbox = Mailbox()
    with running_smtp(mailbox) as port:
        assert send_mail(port, body) == (True, "")
    [mail] = mailbox.mails
    delivery = body["syncproject"]["delivery"]
    assert mail["X-SyncProject-Delivery"] == delivery
    assert mail["To"] == "ops@example.org"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert text.decode().strip().splitlines()[-1] == f"Delivery {delivery}"
    assert "the folder is gone" in text.decode()


@pytest.mark.parametrize(("reply", "code"), [("450 later", "server_error"), ("550 no", "refused")])
def test_a_mail_server_that_refuses_says_whether_a_wait_helps(reply: str, code: str) -> None:
    _, (body, _) = make_bodies()
    with running_smtp(Mailbox(reply)) as port:
        assert send_mail(port, body) == (False, code)


@contextmanager
def ending_handshakes(said: bytes) -> Iterator[int]:
    """A host that reads the beginning of each TLS handshake, says this much, and ends the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        peer.recv(64 * 1024)
                        peer.sendall(said)

        serving = threading.Thread(target=serve)
        serving.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()


@pytest.mark.parametrize(
    "url",
    [
        "jsons://127.0.0.1:{}/in",
        "gotifys://127.0.0.1:{}/token",
        "mailtos://127.0.0.1:{}?from=sync@example.org&to=ops@example.org&mode=ssl",
    ],
)
@pytest.mark.parametrize(("said", "code"), [(b"", "connection_lost"), (b"no TLS at all", "tls")])
def test_a_handshake_that_merely_ends_is_worth_another_try(
    url: str, said: bytes, code: str
) -> None:
    _, (body, _) = make_bodies()
    with ending_handshakes(said) as port:
        assert send_to(url.format(port), body) == (False, code)

"""Hosts that tell the secrets they were told: whatever the product keeps, logs or answers has none of them."""

from __future__ import annotations

import base64
import contextlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import call_command

from connectors.opening import test_connector as try_connector
from farends.http.transport import HttpSecret
from farends.rsync.transport import RsyncOptions, RsyncSecret
from farends.spec import Target
from syncjobs.core.states import State
from tests.api.asking import asker
from tests.hosts.asyncssh_host import running_asyncssh
from tests.hosts.asyncssh_server import PASSWORD as SFTP_PASSWORD
from tests.hosts.scripted_ftp import Conversation as FtpConversation
from tests.hosts.scripted_ftp import scripted_ftp
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.speaking import speaking
from tests.rows import make_connector, make_job, run
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = 'Quok/ka+7 "<\u00fc>'
PROJECT = ("workspaces", "connectors", "datasets", "syncjobs")
NOISE = "\x1b[2J\x07\u202e"  # clears the screen, rings, and turns the line around


@contextlib.contextmanager
def ftp_that_echoes(_: Path, before: str) -> Iterator[tuple[str, Target, str]]:
    def refuse(conversation: FtpConversation, password: str) -> None:
        conversation.say(f"530 {before}{password}{NOISE}")

    with scripted_ftp(PASS=refuse) as host:
        target = host.target(password=SECRET, username="u", allow_plaintext_password=True)
        yield "ftp", target, SECRET


@contextlib.contextmanager
def http_that_echoes_a_log_in(_: Path, before: str) -> Iterator[tuple[str, Target, str]]:
    def answer(request: Request, conversation: Conversation) -> None:
        conversation.say(
            f"{before}{request.fields.get('authorization', '')}{NOISE}\r\n\r\n".encode()
        )

    with scripted_http(answer) as host:
        secret = HttpSecret(password=SECRET)
        yield "http", host.target(secret=secret, auth="basic", username="u"), SECRET


@contextlib.contextmanager
def http_that_echoes_a_token(_: Path, before: str) -> Iterator[tuple[str, Target, str]]:
    token = "Quokka77zebraQuokka"

    def answer(request: Request, conversation: Conversation) -> None:
        coding = f"{before}{request.fields.get('authorization', '')}"
        conversation.answer(b"x", f"Content-Encoding: {coding}", f"Server: {token}")

    with scripted_http(answer) as host:
        target = host.target(secret=HttpSecret(token=token), auth="bearer", urls=("/a.txt",))
        yield "http", target, token


@contextlib.contextmanager
def rsync_that_echoes(_: Path, before: str) -> Iterator[tuple[str, Target, str]]:
    said = b"@RSYNCD: 31.0 sha512 md5\n@ERROR: " + f"{before}{SECRET}{NOISE}\n".encode()
    with speaking(said + b"@RSYNCD: EXIT\n") as port:
        yield (
            "rsync",
            Target("127.0.0.1", port, RsyncOptions(root="m"), RsyncSecret(password=SECRET)),
            SECRET,
        )


@contextlib.contextmanager
def sftp_that_echoes(home: Path, _: str) -> Iterator[tuple[str, Target, str]]:
    (home / "echoing").mkdir()
    with running_asyncssh(home, home) as host:
        yield "sftp", host.target(home / "echoing"), SFTP_PASSWORD


Host = Callable[[Path, str], AbstractContextManager[tuple[str, Target, str]]]
# With what it says before: a word, or so much that the secret is where its words are cut.
HOSTS: dict[Host, int] = {
    ftp_that_echoes: 195,
    http_that_echoes_a_log_in: 60,
    http_that_echoes_a_token: 28,
    rsync_that_echoes: 185,
    sftp_that_echoes: 0,
}


@pytest.mark.parametrize(
    ("host", "before"),
    [
        *(pytest.param(host, "no: ", id=f"{host.__name__}-whole") for host in HOSTS),
        *(
            pytest.param(host, "x" * at, id=f"{host.__name__}-cut")
            for host, at in HOSTS.items()
            if at
        ),
    ],
)
def test_x07_a_secret_that_a_host_echoes_is_hidden_wherever_it_is_told(
    host: Host, before: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with host(tmp_path, before) as (kind, target, secret):
        connector = make_connector(target, kind=kind)
        job = make_job(connector, max_attempts=1)
        record = run(job)
        try_connector(connector)
        answer = asker(Role.OPERATOR).post(f"connectors/{connector.name}/test")
    assert answer.status_code == 200
    assert "***" in answer.text
    assert record.state in (State.FAILED, State.PARTIAL)
    explained = io.StringIO()
    call_command("explain", str(record.pk), stdout=explained)
    logged = [(kept.msg, kept.exc_info) for kept in caplog.records]
    told = [*stored(), answer.text, explained.getvalue(), str(logged)]
    for text in told:
        for part in parts_of(secret):
            assert part not in text.lower(), text
    record.refresh_from_db()
    assert "***" in record.error
    assert record.error.isprintable()
    assert all(event.reason.isprintable() for event in record.events.all())
    connector.refresh_from_db()
    assert "***" in json.dumps(connector.last_test)
    assert connector.last_test
    assert all(stage["detail"].isprintable() for stage in connector.last_test)


def test_a_secret_that_a_listing_echoes_is_hidden_in_what_was_skipped(
    tmp_path: Path,
) -> None:
    """The message of a folder that was refused, a row that is none, and a name that is unsafe (P11)."""

    def list_folder(conversation: FtpConversation, folder: str) -> None:
        conversation.close_listener()
        conversation.say(f"550 {SECRET}: denied")

    def list_root(conversation: FtpConversation, folder: str) -> None:
        if folder.strip("/"):
            list_folder(conversation, folder)
            return
        rows = ["type=dir; sub", f"type=file;size=1; ../{SECRET}", f"what is {SECRET}", "size=1; a"]
        conversation.send("".join(f"{row}\r\n" for row in rows).encode())

    with scripted_ftp(MLSD=list_root) as host:
        target = host.target(password=SECRET, username="u", allow_plaintext_password=True)
        record = run(make_job(make_connector(target, kind="ftp"), max_attempts=1))
    told = [f"{item.path} {item.message}" for item in record.items.all()]
    assert sum("***" in text for text in told) >= 2, told
    for text in stored():
        for part in parts_of(SECRET):
            assert part not in text.lower(), text


def stored() -> Iterator[str]:
    """Every row that the product keeps, without what a person gave: a folder's name or a key may have four
    characters in common with the secret."""
    given = {"sealed_secret", "options"}
    for label in PROJECT:
        for model in apps.get_app_config(label).get_models():
            for row in model._default_manager.values():
                yield str({name: value for name, value in row.items() if name not in given})


def parts_of(secret: str) -> set[str]:
    """Four characters in a row are too many, in plain and as Basic sends them."""
    basic = base64.b64encode(f"u:{secret}".encode()).decode()
    found: set[str] = set()
    for text, length in ((secret, 4), (basic, 8)):
        found |= {text[at : at + length].lower() for at in range(len(text) - length + 1)}
    return found

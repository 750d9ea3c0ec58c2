"""`python -m embedded.alive`: what a liveness probe of a container is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from embedded.alive import check_part
from syncjobs.models import ProcessSign

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment() -> dict[str, str]:
    """The tests' PostgreSQL is young."""
    told = connection.settings_dict
    place = f"{told['HOST']}:{told['PORT']}/{told['NAME']}"
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{place}"
    return {"DATABASE_URL": url, "SYNC_SILENT_SECONDS": "1"}


def tell(part: str, *, seconds_ago: float, host: str = "") -> None:
    ProcessSign.objects.create(
        name=f"{part}{seconds_ago}{host}",
        part=part,
        host=host or socket.gethostname(),
        started_at=Now(),
        seen_at=Now() - timedelta(seconds=seconds_ago),
    )


@contextmanager
def read_only() -> Iterator[None]:
    """For sessions that begin now."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            yield
        finally:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@pytest.mark.parametrize("part", ["worker", "index", "beat", "web"])
def test_who_told_of_itself_lately_is_alive(
    part: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tell(part, seconds_ago=600)  # one before it in the same container
    tell(part, seconds_ago=0)
    assert check_part([part], environment | {"SYNC_SILENT_SECONDS": "2"}) == 0
    assert capsys.readouterr().out.startswith("alive: ")


@pytest.mark.parametrize("part", ["worker", "index", "beat", "web"])
def test_who_is_silent_is_to_be_started_again(
    part: str, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tell(part, seconds_ago=63)
    tell("worker" if part == "web" else "web", seconds_ago=0)
    tell(part, seconds_ago=0, host="elsewhere")
    assert check_part([part], environment) == 1
    assert capsys.readouterr().out.startswith(f"the {part} process has been silent for 6")


def test_who_never_told_of_itself_is_not_there(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_part(["worker"], environment) == 1
    told = capsys.readouterr().out
    assert told == "no worker process of this host has told of itself\n"


def test_nothing_is_to_be_started_again_while_no_process_can_tell(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    tell("worker", seconds_ago=4000)
    gone = "postgresql://nobody@127.0.0.1:1/nothing"
    with read_only():
        assert check_part(["worker"], environment) == 0
    assert check_part(["worker"], environment | {"DATABASE_URL": gone}) == 0
    young = environment | {"SYNC_SILENT_SECONDS": "999999"}  # PostgreSQL is younger
    assert check_part(["worker"], young) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == ["nothing can be told"] * 3


def test_who_asks_wrongly_is_told_how(
    environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for asked, changed in (
        (["flower"], {}),
        ([], {}),
        (["worker"], {"SYNC_SILENT_SECONDS": "soon"}),
    ):
        assert check_part(asked, environment | changed) == 2
    usage, _, wrong = capsys.readouterr().out.splitlines()
    assert usage.startswith("usage: ")
    assert "SYNC_SILENT_SECONDS" in wrong

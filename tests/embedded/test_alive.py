"""`manage.py alive`: what a liveness probe of a container is told."""

from __future__ import annotations

import dataclasses
import socket
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from syncjobs.models import ProcessSign

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _short(settings: Settings) -> None:
    """The tests' PostgreSQL is young."""
    settings.SYNC = dataclasses.replace(settings.SYNC, silent_s=1)


def tell(part: str, *, seconds_ago: float, host: str = "") -> None:
    ProcessSign.objects.create(
        name=f"{part}{seconds_ago}{host}",
        part=part,
        host=host or socket.gethostname(),
        started_at=Now(),
        seen_at=Now() - timedelta(seconds=seconds_ago),
    )


@pytest.mark.parametrize("part", ["worker", "beat", "web"])
def test_who_told_of_itself_lately_is_alive(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(part, seconds_ago=600)  # one before it in the same container
    tell(part, seconds_ago=0)
    call_command("alive", part)
    assert capsys.readouterr().out.startswith("alive: ")


@pytest.mark.parametrize("part", ["worker", "beat", "web"])
def test_who_is_silent_is_to_be_started_again(part: str) -> None:
    tell(part, seconds_ago=63)
    tell("worker" if part == "web" else "web", seconds_ago=0)
    tell(part, seconds_ago=0, host="elsewhere")
    with pytest.raises(CommandError, match=rf"^the {part} process has been silent for 6\d s"):
        call_command("alive", part)


def test_who_never_told_of_itself_is_not_there() -> None:
    with pytest.raises(CommandError, match="no worker process of this host has told of itself"):
        call_command("alive", "worker")


def test_nothing_is_to_be_started_again_while_no_process_can_tell(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("worker", seconds_ago=4000)
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    call_command("alive", "worker")
    settings.SYNC = dataclasses.replace(settings.SYNC, silent_s=1e8)  # PostgreSQL is younger
    call_command("alive", "worker")
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == ["nothing can be told"] * 2

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from connectors import rotating
from connectors.models import Connector
from connectors.secrets import reseal, seal, unseal
from syncproject import env
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db

CANARY = "canary-secret"


@pytest.fixture
def keys(settings: Settings) -> list[str]:
    """The older key, then the newer; the older alone has sealed so far."""
    made = [Fernet.generate_key().decode() for _ in range(2)]
    settings.SECRETS_KEYS = made[:1]
    return made


def make(count: int) -> list[Connector]:
    rows = []
    for number in range(count):
        row = Connector(
            workspace=make_workspace(), name=f"c{number}", kind="ftp", host="h", port=21
        )
        seal(row, {"password": f"{CANARY}-{number}"})
        row.save()
        rows.append(row)
    return rows


def test_every_secret_opens_with_the_new_key_alone(
    keys: list[str],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(rotating, "BATCH", 2)  # so that there are several
    rows = make(5)
    Connector.objects.create(workspace=make_workspace(), name="open", kind="ftp", host="h", port=21)
    updated = {row.pk: row.updated_at for row in Connector.objects.all()}
    settings.SECRETS_KEYS = keys[::-1]
    call_command("rotate_secrets")
    told = capsys.readouterr()
    assert told.out == "5 secrets encrypted again, 0 had the newest key already\n"
    settings.SECRETS_KEYS = keys[1:]
    for number, row in enumerate(rows):
        row.refresh_from_db()
        assert unseal(row) == {"password": f"{CANARY}-{number}"}
    assert {row.pk: row.updated_at for row in Connector.objects.all()} == updated
    call_command("rotate_secrets", "--json")
    told = capsys.readouterr()
    assert json.loads(told.out) == {"resealed": 0, "current": 5, "unopened": []}


def test_a_secret_that_does_not_open_is_named_and_kept_and_the_others_go_on(
    keys: list[str], settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make(3)
    lost = Fernet(Fernet.generate_key()).encrypt(CANARY.encode()).decode()
    Connector.objects.filter(pk=rows[1].pk).update(sealed_secret=lost)
    settings.SECRETS_KEYS = keys[::-1]
    with pytest.raises(CommandError, match="1 secrets did not open") as caught:
        call_command("rotate_secrets")
    told = capsys.readouterr()
    assert caught.value.returncode == 1
    assert told.out.startswith("2 secrets encrypted again")
    assert "acme/c1" in told.err
    assert CANARY not in told.out + told.err + str(caught.value)
    assert lost not in told.out + told.err
    rows[1].refresh_from_db()
    assert rows[1].sealed_secret == lost


def test_a_secret_that_is_entered_meanwhile_is_not_overwritten(
    keys: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = make(1)
    settings.SECRETS_KEYS = keys[::-1]
    entered: list[Connector] = []

    def while_somebody_enters(connector: Connector) -> bool:
        if not entered:
            entered.append(Connector.objects.get(pk=row.pk))
            settings.SECRETS_KEYS = keys[:1]  # by a process that does not know the new key yet
            seal(entered[0], {"password": "newer"})
            entered[0].save()
            settings.SECRETS_KEYS = keys[::-1]
        return reseal(connector)

    monkeypatch.setattr(rotating, "reseal", while_somebody_enters)
    assert rotating.rotate_secrets().resealed == 1
    settings.SECRETS_KEYS = keys[1:]
    row.refresh_from_db()
    assert unseal(row) == {"password": "newer"}


def test_an_interrupted_run_is_gone_on_with(
    keys: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(4)
    monkeypatch.setattr(rotating, "BATCH", 2)
    settings.SECRETS_KEYS = keys[::-1]

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotating.rotate_secrets(interrupt)
    done = rotating.rotate_secrets()
    assert (done.resealed, done.current, done.unopened) == (2, 2, ())


@pytest.mark.parametrize("given", [[], ["no-fernet-key-canary"]])
def test_keys_that_are_none_are_said_without_their_text(given: list[str], settings: Any) -> None:
    make(1)
    settings.SECRETS_KEYS = given
    with pytest.raises(CommandError) as caught:
        call_command("rotate_secrets")
    assert str(caught.value) == "SECRETS_KEYS holds no usable key"


OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The data folder of a stack that runs with a new key before the old one."""
    (tmp_path / "keys").write_text(f"{NEW},{OLD}")
    (tmp_path / "stack.env").write_text(f"# made\nSECRETS_KEYS_FILE={tmp_path / 'keys'}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        ({}, (NEW, OLD)),
        ({"SECRETS_KEYS": f"{OTHER},{OLD}"}, (OTHER, OLD)),
        ({"SECRETS_KEYS_FILE": "given"}, (OTHER,)),
    ],
)
def test_keys_that_are_given_win_over_the_running_stacks(
    stack: Path, given: dict[str, str], keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (stack / "given").write_text(OTHER)
    # It keeps what it has read, for the life of the process.
    for name in ("SECRETS_KEYS", "SECRETS_KEYS_FILE"):
        monkeypatch.setenv(name, "")  # so that what is taken over is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(stack))
    for name, value in given.items():
        monkeypatch.setenv(name, str(stack / value) if name.endswith("_FILE") else value)
    read = env.read()
    assert read.secrets_keys == keys
    assert read.stack_secrets_keys == (NEW, OLD)


def test_two_forms_of_the_keys_at_once_are_refused(
    stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(stack))
    monkeypatch.setenv("SECRETS_KEYS", OTHER)
    monkeypatch.setenv("SECRETS_KEYS_FILE", str(stack / "keys"))
    with pytest.raises(SystemExit, match="are both set"):
        env.read()


@pytest.mark.parametrize("command", ["rotate_secrets", "apply"])
def test_nothing_is_sealed_that_the_running_stack_cannot_open(
    command: str, settings: Settings, tmp_path: Path
) -> None:
    settings.SECRETS_KEYS = (OLD,)
    (row,) = make(1)
    settings.SYNC = replace(settings.SYNC, stack_secrets_keys=(NEW, OLD))
    settings.SECRETS_KEYS = (OTHER, OLD)
    file = tmp_path / "acme.yaml"
    file.write_text("workspaces: []\n")
    words = [command, *([str(file)] if command == "apply" else [])]
    with pytest.raises(CommandError, match="not among the keys of the running stack"):
        call_command(*words)
    read = Connector.objects.get()
    assert read.sealed_secret == row.sealed_secret
    for keys in ((OLD,), (NEW, OLD)):
        settings.SECRETS_KEYS = keys
        call_command(*words)

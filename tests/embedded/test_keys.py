"""Keys, options and stack.env: what passes between the operator, the stack and its programs."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from embedded import keys, options, ports, stack_env
from embedded.errors import StackError
from tests.waiting import until


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_once_and_kept_from_others(data_dir: Path) -> None:
    first = keys.settle_keys(data_dir / "keys", {})

    assert keys.settle_keys(data_dir / "keys", {}) == first
    assert mode(data_dir / "keys") == 0o700
    assert {mode(path) for path in (data_dir / "keys").iterdir()} == {0o600}
    Fernet(first.secrets_keys.value)
    assert len({first.secret_key.value, first.cron_secret.value, first.flower_password.value}) == 3


def test_a_given_value_wins_and_reaches_programs_as_a_file(data_dir: Path) -> None:
    made = keys.settle_keys(data_dir / "keys", {})
    given = keys.settle_keys(data_dir / "keys", {"CRON_SECRET": "mine"})

    assert given.cron_secret.value == "mine"
    assert given.cron_secret.path.read_text() == "mine"
    assert mode(given.cron_secret.path) == 0o600
    assert keys.settle_keys(data_dir / "keys", {}) == made


def test_a_given_file_is_used_where_it_lies(data_dir: Path) -> None:
    file = data_dir / "secret"
    file.write_text("mine\n")

    given = keys.settle_keys(data_dir / "keys", {"SECRET_KEY_FILE": str(file)})

    assert (given.secret_key.path, given.secret_key.value) == (file, "mine")


def test_a_missing_file_is_named(data_dir: Path) -> None:
    with pytest.raises(StackError, match=r"cannot read SECRET_KEY_FILE /nowhere/key: No such file"):
        keys.settle_keys(data_dir / "keys", {"SECRET_KEY_FILE": "/nowhere/key"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("WEB_PORT", "http"), ("FLOWER_PORT", "70000"), ("WORKERS", "0"), ("WEB_HOST", "example.org")],
)
def test_a_bad_option_is_named(name: str, value: str) -> None:
    with pytest.raises(StackError, match=rf"^{name} must be .*'{value}'"):
        options.read_options({name: value})


def test_the_defaults_are_the_documented_ones() -> None:
    read = options.read_options({})
    assert (read.web_host, read.web_port, read.flower_port) == ("127.0.0.1", 8091, 5555)
    assert (read.workers, read.concurrency, read.data_dir.name) == (2, 8, "var")
    assert read.database_url is read.redis_url is read.allowed_networks is None


def test_what_settings_put_into_the_environment_later_is_not_taken_for_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL_OF_A_KILLED_STACK", "redis://127.0.0.1:1/0")
    assert "REDIS_URL_OF_A_KILLED_STACK" not in options.given_environment()


def test_a_shell_reads_stack_env_back(data_dir: Path) -> None:
    value = "a 'quoted' $HOME \"value\""
    path = stack_env.write_stack_env(data_dir, {"SYNC_TOKEN": value})
    script = f'. {path}; printf %s "$SYNC_TOKEN"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == value
    assert mode(path) == 0o600
    stack_env.remove(data_dir)
    assert not path.exists()


def test_a_taken_port_names_the_variable() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} on 127.0.0.1 is taken: set WEB_PORT"):
            ports.claim_port("WEB_PORT", port)
    until(lambda: ports.claim_port("WEB_PORT", port) == port, "the port did not become free")


def test_port_0_takes_a_free_one() -> None:
    assert ports.is_free(ports.claim_port("WEB_PORT", 0))

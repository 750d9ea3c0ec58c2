"""The stack's own keys and passwords: made once, kept as files that only their owner reads."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import StackError
from embedded.variables import Variables


@dataclass(frozen=True, slots=True)
class Key:
    """A secret and the file that holds it, which is what programs are told."""

    path: Path
    value: str


@dataclass(frozen=True, slots=True)
class Keys:
    secret_key: Key
    secrets_keys: Key  # Fernet keys, newest first
    cron_secret: Key
    console_password: Key
    flower_password: Key


def settle_keys(folder: Path, environment: Mapping[str, str]) -> Keys:
    """What the environment gives (NAME or NAME_FILE), else what the folder holds, else new ones.

    Raises StackError when a named file cannot be read or the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

        def key(name: str, make: Callable[[], str]) -> Key:
            return _settle(folder, environment, name, make)

        return Keys(
            secret_key=key("SECRET_KEY", lambda: secrets.token_urlsafe(50)),
            secrets_keys=key("SECRETS_KEYS", _fernet_key),
            cron_secret=key("CRON_SECRET", lambda: secrets.token_urlsafe(32)),
            console_password=key("CONSOLE_PASSWORD", lambda: secrets.token_urlsafe(12)),
            flower_password=key("FLOWER_PASSWORD", lambda: secrets.token_urlsafe(12)),
        )
    except OSError as error:
        raise StackError(f"cannot keep keys in {folder}: {error.strerror}") from error


def _settle(
    folder: Path, environment: Mapping[str, str], name: str, make: Callable[[], str]
) -> Key:
    value = Variables(environment).find(name)
    if value is not None:
        given = environment.get(f"{name}_FILE")
        path = Path(given).resolve() if given else folder / f"{name.lower()}.given"
        if not given:
            write_secret(path, value)  # programs are told files, whatever we were told
        return Key(path, value)
    path = folder / name.lower()
    return Key(path, keep_secret(path, make))


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


def write_secret(path: Path, value: str) -> None:
    """Replaces the file as a whole, and has it on the disk before it returns."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """What the file holds; made and written when there is none yet."""
    if not path.exists():
        write_secret(path, make())
    return read_secret(path)
